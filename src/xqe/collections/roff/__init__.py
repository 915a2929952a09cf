"""Manual pages as text: the language of roff, and the two sets of macros that pages are written with, man and mdoc.

No typesetter: of a page, this keeps what it says, a line for each paragraph, item or row of a table, under its
headings. What only sets type (fonts, sizes, indents, diversions, equations) is passed over.

`characters` and `escapes` read what stands within a line, `language` the requests, strings, registers, conditions and
macros of a page, `tables` what tbl would set, `man` and `mdoc` the macros, `page` is what comes of it.
Sources: groff(7), groff_man(7), groff_mdoc(7), groff_char(7), tbl(1), mandoc_roff(7).
"""
