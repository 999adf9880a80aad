// node rows.mjs FILE.parquet: one JSON object a line, read by hyparquet alone.
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

const file = await asyncBufferFromFile(process.argv[2])
const rows = await parquetReadObjects({ file, compressors })
const plain = (_, value) => (typeof value === 'bigint' ? Number(value) : value)
for (const row of rows) console.log(JSON.stringify(row, plain))
