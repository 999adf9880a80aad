// node write.mjs FILE.parquet CODEC < rows.json: [[name, type, values], …], written by
// hyparquet-writer alone.
import { readFileSync } from 'node:fs'
import { parquetWriteFile } from 'hyparquet-writer'

const [filename, codec] = process.argv.slice(2)
const wide = (type, value) => (type === 'INT64' && value !== null ? BigInt(value) : value)
const columnData = JSON.parse(readFileSync(0, 'utf8')).map(([name, type, values]) =>
  ({ name, type, data: values.map(value => wide(type, value)), nullable: true }))
parquetWriteFile({ filename, columnData, codec, rowGroupSize: 1000 })
