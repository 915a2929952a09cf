"""xqe embed: vectors of an index's documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xqe.commands.embedding import check_embedding, embed_documents, is_embedded, open_embedder, storing, summary
from xqe.commands.options.embedding import Embedding
from xqe.commands.options.encoding import Encoding
from xqe.commands.options.groups import takes
from xqe.commands.summaries import write_summary
from xqe.errors import XqeError


@takes(encoding=Encoding, embedding=Embedding)
def embed(
    directory: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="The folder of the index.")],
    encoding: Encoding,
    embedding: Embedding,
    force: Annotated[bool, typer.Option("--force", help="Make vectors anew.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Make nothing: check every file of the vectors in DIR against its hash.")
    ] = False,
) -> None:
    """Add vectors of an encoder to an index.

    The texts that the index keeps are encoded, and apart from them the questions of its documents; the vectors lie
    beside it, and those of several encoders may. Sums them up as xqe index does, for an index of several languages
    each. A run that was stopped is gone on with by the same command. When the index is built anew, its vectors are
    gone, too.
    """
    if verify:
        if force:
            raise XqeError("--verify makes nothing", "leave out --force")
        _verify(directory, encoding.encoder)
        return
    check_embedding(embedding)
    from xqe.retrieval.lexical import open_index

    indexes = {folder: open_index(folder) for folder in _folders(directory)}
    with open_embedder(encoding, embedding) as encoder:
        storing(embedding, encoder)
        lacking = {folder: its for folder, its in indexes.items() if force or not is_embedded(its, encoder, embedding)}
        for folder, index in (lacking or indexes).items():
            write_summary(embed_documents(folder, index, encoder, embedding, force, encoding.threads))


def _folders(directory: Path) -> list[Path]:
    """The folders of the indexes in a folder: that of each language, or the folder itself."""
    from xqe.retrieval.documents import is_several
    from xqe.retrieval.lexical import read_languages

    return [directory / code for code in read_languages(directory).languages] if is_several(directory) else [directory]


def _verify(directory: Path, encoder: str | None) -> None:
    """Hash the files of vectors, and sum up those of each encoder."""
    for folder in _folders(directory):
        _verify_index(folder, encoder)


def _verify_index(directory: Path, encoder: str | None) -> None:
    from xqe.retrieval.dense import embedded
    from xqe.retrieval.dense.description import check_description, chosen, questions_folder, read_questions
    from xqe.retrieval.dense.questions import lacking
    from xqe.retrieval.lexical import open_index

    index = open_index(directory)
    data = index.documents.folder
    if encoder is not None or not embedded(directory):
        chosen(data, directory, encoder)  # says what there is
    for description in embedded(directory):
        if encoder in (None, description.encoder, description.folder_name):
            folder, verified = data / description.folder_name, len(description.files)
            check_description(folder, description, verify=True)
            for code in index.manifest.questions:
                of_questions = read_questions(folder, code)
                if of_questions is None:
                    raise lacking(directory, description.encoder, code)
                check_description(questions_folder(folder, code), of_questions, verify=True)
                verified += len(of_questions.files)
            write_summary({**summary(directory, index, description), "verified": verified})
