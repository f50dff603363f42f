// Writes small Parquet files with the Rust implementation of Arrow, lists of structs as Hugging Face's datasets has them.
//
//     npm install --prefix /tmp/parquet parquet-wasm@0.8.0 apache-arrow@21.2.0
//     NODE_PATH=/tmp/parquet/node_modules node tools/make_parquet_cases.mjs tests/GradientAtoms.Tests/Documents/Cases

import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(process.env.NODE_PATH + "/");
const arrow = require("apache-arrow");
const parquet = require("parquet-wasm");

const rows = [
  { id: "one", messages: [{ role: "user", content: "q" }, { role: "assistant", content: "a" }], n: 1.5 },
  { id: "two", messages: [], n: null },
  { id: "three", messages: null, n: 2 },
  { id: "four", messages: [{ role: "assistant", content: "é😀" }], n: 3 },
  { id: "five", messages: [{ role: "user", content: null }, { role: "assistant", content: "x" }], n: 4 },
];
const text = new arrow.Utf8();
const turn = new arrow.Struct([new arrow.Field("role", text, true), new arrow.Field("content", text, true)]);
const table = new arrow.Table({
  id: arrow.vectorFromArray(rows.map(row => row.id), text),
  messages: arrow.vectorFromArray(rows.map(row => row.messages), new arrow.List(new arrow.Field("element", turn, true))),
  n: arrow.vectorFromArray(rows.map(row => row.n), new arrow.Float64()),
});
for (const [name, compression] of [["snappy", parquet.Compression.SNAPPY], ["zstd", parquet.Compression.ZSTD], ["plain", parquet.Compression.UNCOMPRESSED]]) {
  const properties = new parquet.WriterPropertiesBuilder().setCompression(compression).setMaxRowGroupSize(3).build();
  writeFileSync(join(process.argv[2], `arrow-${name}.parquet`), parquet.writeParquet(parquet.Table.fromIPCStream(arrow.tableToIPC(table, "stream")), properties));
}
