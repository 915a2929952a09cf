"""What is said of a source and of a collection, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xqe.commands.summaries import write_summary

if TYPE_CHECKING:
    from xqe.collections.layout import Collection


def source_row(name: str) -> dict[str, Any]:
    from xqe.collections.sources import source

    row = source(name)
    return {
        "name": row.name,
        "about": row.about,
        "languages": list(row.languages),
        "splits": list(row.splits),
        "how": row.how,
        "size": row.size,
        "needs": row.needs,
        "licence": row.licence,
        "url": row.url,
    }


def collection_row(collection: Collection) -> dict[str, Any]:
    manifest = collection.manifest

    def counts(kind: str, what: str) -> dict[str, dict[str, int]]:
        return {
            split: {name: entry[what] for name, entry in files.items()}
            for split, files in manifest.get(kind, {}).items()
        }

    return {
        "collection": str(collection.directory),
        "name": collection.name,
        "about": manifest.get("about"),
        "licence": manifest.get("licence"),
        "pool": manifest.get("pool"),
        "drop_self": bool(manifest.get("drop_self")),
        "documents": {lang: collection.document_count(lang) for lang in collection.document_languages},
        "queries": counts("queries", "queries"),
        "judged": counts("qrels", "queries"),
        "judgements": counts("qrels", "judgements"),
        "examples": counts("examples", "examples"),
        "bytes": sum(entry["bytes"] for entry in collection.entries()),
        "notes": manifest.get("notes", []),
        "source": manifest.get("source"),
        "sample": manifest.get("sample"),
        "sha256": collection.sha256(),
    }


def summarise(collection: Collection) -> None:
    """What was made, summed up."""
    row = collection_row(collection)
    kept = ("collection", "name", "pool", "documents", "queries", "judged", "examples", "bytes", "sha256")
    write_summary({key: row[key] for key in kept} | {"notes": len(row["notes"])})
