// node iceberg.mjs TABLE: one JSON object a row, read by icebird alone. It knows URLs only, so its
// fetch is given the files.
import fs from 'node:fs'
import { icebergRead } from 'icebird'

globalThis.fetch = async (url, options = {}) => {
  const path = String(url).replace(/^file:\/\//, '')
  if (!fs.existsSync(path)) return new Response(null, { status: 404 })
  const bytes = fs.readFileSync(path)
  const headers = { 'Content-Length': String(bytes.length), 'Accept-Ranges': 'bytes' }
  if (options.method === 'HEAD') return new Response(null, { status: 200, headers })
  const range = new Headers(options.headers).get('Range')
  const [, from, to] = /bytes=(\d+)-(\d*)/.exec(range ?? '') ?? []
  if (from === undefined) return new Response(bytes, { status: 200, headers })
  return new Response(bytes.subarray(Number(from), to === '' ? undefined : Number(to) + 1), { status: 206 })
}

const plain = (_, value) => (typeof value === 'bigint' ? Number(value) : value)
for (const row of await icebergRead({ tableUrl: process.argv[2] })) {
  console.log(JSON.stringify(row, plain))
}
