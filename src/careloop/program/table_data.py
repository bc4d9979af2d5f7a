"""A table under construction."""

from dataclasses import dataclass, field

import pyarrow as pa


@dataclass
class TableData:
    """A table under construction. columns: name and Arrow type, in order."""

    columns: dict[str, pa.DataType]
    rows: list[tuple] = field(default_factory=list)

    def arrow(self) -> pa.Table:
        values = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        arrays = [
            pa.array(list(column), type=kind)
            for column, kind in zip(values, self.columns.values(), strict=True)
        ]
        return pa.Table.from_arrays(arrays, names=list(self.columns))
