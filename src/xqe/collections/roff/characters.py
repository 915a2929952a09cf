"""The characters that roff knows by name, as groff_char(7) lists them."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_ACCENTS = {
    "'": "\u0301",
    "`": "\u0300",
    "^": "\u0302",
    "~": "\u0303",
    ":": "\u0308",
    ",": "\u0327",
    "o": "\u030a",
    "v": "\u030c",
}
"""The first character of a name of two, before a letter: \\('e is é. "o" is that of å alone."""
_GREEK = dict(
    zip(
        "abgdezyhiklmncoprstufxqwABGDEZYHIKLMNCOPRSTUFXQW",
        "αβγδεζηθικλμνξοπρστυφχψωΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ",
        strict=True,
    )
)
_NAMED = """
AE Æ ae æ OE Œ oe œ ss ß /O Ø /o ø /L Ł /l ł -D Đ Sd ð Tp þ TP Þ .i ı .j ȷ IJ Ĳ ij ĳ ff ﬀ fi ﬁ fl ﬂ Fi ﬃ Fl ﬄ
em — en – hy ‐ lq “ rq ” Bq „ bq ‚ oq ‘ cq ’ aq ' dq " Fo « Fc » fo ‹ fc › r! ¡ r? ¿
aa ´ ga ` ha ^ ti ~ a^ ^ a~ ~ a" ˝ a- ¯ a. ˙ ac ¸ ab ˘ ah ˇ ao ˚ ho ˛ ad ¨
bu • ci ○ sq □ lz ◊ dg † dd ‡ ps ¶ sc § co © rg ® tm ™ de ° fm ′ sd ″ % ‰ Of ª Om º
rs \\ sl / ba | br │ bb ¦ bv │ ul _ ru _ rn ‾ or | at @ sh # lB [ rB ] lC { rC } la ⟨ ra ⟩ lA ⟨ rA ⟩
Do $ ct ¢ eu € Eu € Ye ¥ Po £ Cs ¤ Fn ƒ
-> → <- ← <> ↔ da ↓ ua ↑ va ↕ lA ⇐ rA ⇒ hA ⇔ dA ⇓ uA ⇑ vA ⇕ an ⎯ CR ↵ lh ☜ rh ☞
pl + mi − +- ± -+ ∓ t+- ± mu × tmu × di ÷ tdi ÷ ** ∗ c* ⊗ c+ ⊕ eq = == ≡ != ≠ !== ≢ =~ ≅ |= ≃ ap ∼ ~~ ≈ ~= ≈ >= ≥ <= ≤
>> ≫ << ≪ pt ∝ no ¬ tno ¬ fa ∀ te ∃ st ∋ mo ∈ nm ∉ AN ∧ OR ∨ ca ∩ cu ∪ sb ⊂ sp ⊃ nb ⊄ nc ⊅ ib ⊆ ip ⊇ es ∅ /_ ∠ pp ⊥
is ∫ integral ∫ sum ∑ product ∏ gr ∇ sr √ sqrt √ if ∞ Ah ℵ Im ℑ Re ℜ wp ℘ pd ∂ -h ℏ hbar ℏ md ⋅ tf ∴ 3d ∴
12 ½ 14 ¼ 34 ¾ 18 ⅛ 38 ⅜ 58 ⅝ 78 ⅞ S1 ¹ S2 ² S3 ³ CL ♣ SP ♠ HE ♥ DI ♦ OK ✓ f/ ⁄ shc \u00ad
*e ε +h ϑ +f ϕ +p ϖ +e ϵ ts ς u- u
lt < gt > Lt < Gt > Am & Ba | Pi π Ne ≠ Le ≤ Ge ≥ Pm ± If ∞ q " Lq “ Rq ” tick ' quot " lt < minus -
"""


@cache
def _table() -> dict[str, str]:
    words = _NAMED.replace("\\\\", "\\").split()
    table = {f"*{name}": letter for name, letter in _GREEK.items()}
    return table | dict(zip(words[::2], words[1::2], strict=True))


def named(name: str) -> str:
    """The character of a name, as in \\(xx and \\[xx]: listed, an accented letter, or uXXXX; "" for an unknown one.

    named("'e") == named("u00E9") == named("u0065_0301") == named("e aa") == "é"
    """
    if name in (known := _table()):
        return known[name]
    if len(name) == 2 and name[0] in _ACCENTS and name[1].isalpha():
        return unicodedata.normalize("NFC", name[1] + _ACCENTS[name[0]])
    if re.fullmatch(r"u[0-9A-F]{4,6}(?:_[0-9A-F]{4,6})*", name):
        codes = [int(code, 16) for code in name[1:].split("_")]
        return unicodedata.normalize("NFC", "".join(map(chr, codes))) if max(codes) <= 0x10FFFF else ""
    if match := re.fullmatch(r"char(\d{1,3})", name):
        return chr(int(match[1]))
    if " " in name:
        base, *accents = name.split()
        marks = (_COMBINING.get(accent, "") for accent in accents)
        return unicodedata.normalize("NFC", (base if len(base) == 1 else named(base)) + "".join(marks))
    return name if len(name) == 1 else ""


_COMBINING = {
    "aa": "\u0301", "'": "\u0301", "ga": "\u0300", "`": "\u0300", "a^": "\u0302", "^": "\u0302", "a~": "\u0303",
    "~": "\u0303", "ad": "\u0308", ":": "\u0308", "ac": "\u0327", ",": "\u0327", "ao": "\u030a", "ah": "\u030c",
    "ab": "\u0306", "a.": "\u0307", "a-": "\u0304", 'a"': "\u030b", "ho": "\u0328",
}  # fmt: skip
"""Accents of composed characters, \\[e aa]."""
