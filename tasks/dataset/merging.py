"""Some shards become one: rows by style, pictures by way of a file on local disk, a row group at a time in memory."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset import writing
from tasks.dataset.footer import KEY, ShardFooter, SizeFill, pack_failures
from tasks.dataset.ledger import Ledger, shard_name, wanted_digests
from tasks.dataset.selection import Selection
from tasks.dataset.sink import new_token
from tasks.dataset.writing import open_writer, read_schema
from tasks.plan import Plan
from tasks.records import RequestError

HUGGING_FACE = b"huggingface"


class ShardMerge:
    """A shard of a new plan, made of shards of older ones. `file` holds it once it is written."""

    def __init__(self, ledger: Ledger, selection: Selection, plan: Plan, shard: int) -> None:
        self._ledger, self._selection = ledger, selection
        self._plan, self._shard = plan, shard
        self._order = pa.array([style.digest for style in plan.styles])
        self._schemas: list[pa.Schema] = []
        self._rows: list[pa.Table] = []  # without pictures; their names are `image`
        self._sizes: list[int] = []
        self._failures: list[pa.Table] = []
        self._footers: list[ShardFooter] = []

    def __enter__(self) -> Self:
        self._pictures = tempfile.TemporaryFile(prefix="atelier-spool-")
        self.file = tempfile.TemporaryFile(prefix="atelier-spool-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pictures.close()
        self.file.close()

    def add(self, key: tuple[int, int]) -> None:
        """Take the records and failures of a shard."""
        name = f"data/{shard_name(*key)}"
        footer, _ = self._ledger.footers[key]
        assert footer is not None  # only committed shards are exported
        self._footers.append(footer)
        self._schemas.append(read_schema(self._ledger.folder, name))
        for table in self._selection.read(self._ledger.folder, name):
            self._add_records(table)
        failures = footer.failure_table()
        if failures is not None:
            self._failures.append(failures.filter(self._selection.rows(failures)))

    def write(self, pairs: int) -> ShardFooter:
        """Write the shard, which stands for so many pairs; gives its footer.

        Raises RequestError where columns of its sources do not go together.
        """
        schema = join_schemas(self._schemas)
        names = pa.field("image", pa.string())
        rows = join_tables(self._rows, schema.set(schema.get_field_index("image"), names))
        with open_writer(self.file, schema) as writer:
            for group in self._row_groups(self._place(rows), schema):
                writer.write_table(group, row_group_size=group.num_rows)
            footer = self._footer(rows.num_rows, pairs)
            writer.add_key_value_metadata({KEY.decode(): footer.to_json()})
        return footer

    def _add_records(self, table: pa.Table) -> None:
        pictures, names = (pc.struct_field(table["image"], name) for name in ("bytes", "path"))
        for chunk in pictures.chunks:
            for picture in chunk:
                self._pictures.write(picture.as_buffer() or b"")
        self._sizes += pc.fill_null(pc.binary_length(pictures), 0).to_pylist()
        self._rows.append(table.set_column(table.schema.get_field_index("image"), "image", names))

    def _place(self, table: pa.Table) -> pa.Table:
        """Records or failures say which plan and shard hold them."""
        for name, value in (("plan", self._plan.seq), ("shard", self._shard)):
            index = table.schema.get_field_index(name)
            field = table.schema.field(index)
            table = table.set_column(index, field, pa.array([value] * table.num_rows, field.type))
        return table

    def _row_groups(self, rows: pa.Table, schema: pa.Schema) -> Iterator[pa.Table]:
        """Rows by style or draw, then as they came, in groups of bounded bytes."""
        ranks = pc.index_in(wanted_digests(rows), value_set=self._order).to_numpy()
        group: list[int] = []
        room = writing.ROW_GROUP_BYTES
        for row in np.argsort(ranks, kind="stable").tolist():
            group.append(row)
            room -= self._sizes[row]
            if room <= 0:
                yield self._group(rows, group, schema)
                group, room = [], writing.ROW_GROUP_BYTES
        if group:
            yield self._group(rows, group, schema)

    def _group(self, rows: pa.Table, chosen: Sequence[int], schema: pa.Schema) -> pa.Table:
        table = rows.take(pa.array(chosen))
        pictures = pa.array([self._read(row) for row in chosen], pa.binary())
        index = schema.get_field_index("image")
        names = table["image"].combine_chunks()
        image = pa.StructArray.from_arrays([pictures, names], fields=list(schema.field(index).type))
        return table.set_column(index, schema.field(index), image).cast(schema)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *itertools.accumulate(self._sizes)]

    def _read(self, row: int) -> bytes:
        self._pictures.seek(self._starts[row])
        return self._pictures.read(self._sizes[row])

    def _footer(self, records: int, pairs: int) -> ShardFooter:
        """The sources' footers as one, as far as they add up."""
        failures = self._place(join_failures(self._failures)) if self._failures else None
        failed = 0 if failures is None else failures.num_rows
        actors = max(footer.actors for footer in self._footers)
        seconds: Counter[str] = Counter()
        for footer in self._footers:
            seconds.update({name: value * actors / footer.actors for name, value in footer.seconds.items()})
        return ShardFooter(
            plan=self._plan.seq,
            shard=self._shard,
            plan_digest=self._plan.digest,
            token=new_token(),
            records=records,
            failed=failed,
            forgotten=pairs - records - failed,  # what contents had drawn; `verify` derives which
            failures="" if failures is None else pack_failures(failures),
            seconds=dict(seconds),
            batches=_join_batches(self._footers),
            actors=actors,
            source_bytes=sum(footer.source_bytes for footer in self._footers),
            picture_bytes=sum(self._sizes),
            device=", ".join(sorted({footer.device for footer in self._footers if footer.device})),
            finished=max(footer.finished for footer in self._footers),
        )


def join_schemas(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """One schema for all, with the descriptions that they have for Hugging Face. Raises RequestError."""
    if all(schema.equals(schemas[0], check_metadata=True) for schema in schemas):
        return schemas[0]
    try:
        joined = pa.unify_schemas([schema.remove_metadata() for schema in schemas], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise RequestError(
            f"Shards of one corpus differ in what a column holds ({error}): export as webdataset or imagefolder."
        ) from error
    features: dict[str, Any] = {}
    for schema in schemas:
        told = json.loads((schema.metadata or {}).get(HUGGING_FACE, b"{}"))
        features |= told.get("info", {}).get("features", {})
    return joined.with_metadata({HUGGING_FACE: json.dumps({"info": {"features": features}})})


def join_tables(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """Tables below one another; a column that one lacks is null there."""
    return pa.concat_tables([_align(table, schema) for table in tables] or [schema.empty_table()])


def join_failures(tables: Sequence[pa.Table]) -> pa.Table:
    """Failed records below one another."""
    return join_tables(tables, join_schemas([table.schema for table in tables]))


def _align(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _join_batches(footers: Sequence[ShardFooter]) -> list[SizeFill]:
    """Batches of one size as one entry."""
    found: dict[tuple[int, int], list[SizeFill]] = defaultdict(list)
    for footer in footers:
        for size in footer.batches:
            found[size.height, size.width].append(size)
    return [
        SizeFill(
            height=height,
            width=width,
            images=sum(size.images for size in sizes),
            batches=sum(size.batches for size in sizes),
            fill=sum(size.fill * size.batches for size in sizes) / max(1, sum(size.batches for size in sizes)),
        )
        for (height, width), sizes in sorted(found.items())
    ]
