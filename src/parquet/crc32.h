// The checksum of pages (that of zlib), with the processor's carry-less multiplication where it has
// one: many times as fast as by table.
#pragma once

#include <cstddef>
#include <cstdint>

namespace varve::parquet {

uint32_t PageCrc32(const uint8_t* bytes, size_t size);

}  // namespace varve::parquet
