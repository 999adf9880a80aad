// The codec floor of a merge: the pages of its inputs decompressed, those of its output compressed,
// nothing else, from memory to memory.
//   merge_floor THREADS OUTPUT INPUT…  prints {"seconds": …}
#include <arrow/util/compression.h>
#include <parquet/metadata.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <thread>

#include "merge/input_set.h"
#include "parquet/page_header.h"

namespace {

using varve::merge::InputSet;
using varve::parquet::Buffer;

// A page's body: as it is in the file, or as it was before it was compressed.
struct Work {
  const uint8_t* bytes;
  size_t size, other_size;
  int codec;
  bool compress;
};

struct Pages {
  std::vector<Buffer> chunks, plain;
  std::vector<Work> work;
};

void Die(const varve::Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  std::exit(1);
}

// Every page of the files; with `unpack` the work is to compress them again.
void Add(const std::vector<std::string>& paths, bool unpack, Pages& pages) {
  const auto pool = varve::merge::TaskPool::Make(1);
  if (!pool.ok()) Die(pool.error());
  auto opened = varve::merge::OpenInputs(paths, "", 64, **pool);
  if (!opened.ok()) Die(opened.error());
  const InputSet inputs = std::move(*opened);
  for (const auto& part : inputs.parts) {
    for (const auto& place : part.chunks) {
      auto bytes = inputs.files->Read(part.file, place.begin, place.bytes);
      if (!bytes.ok()) Die(bytes.error());
      pages.chunks.push_back(std::move(*bytes));
      const Buffer& chunk = pages.chunks.back();
      const auto codec = static_cast<arrow::Compression::type>(place.codec);
      if (codec == arrow::Compression::UNCOMPRESSED) continue;
      for (size_t at = 0; at < chunk.size();) {
        const auto header = varve::parquet::ParsePageHeader({chunk.data() + at, chunk.size() - at});
        if (!header.ok()) Die(header.error());
        const uint8_t* body = chunk.data() + at + header->header_bytes;
        const auto size = static_cast<size_t>(header->compressed_bytes);
        const auto plain = static_cast<size_t>(header->uncompressed_bytes);
        if (!unpack) {
          pages.work.push_back({body, size, plain, codec, false});
        } else {
          pages.plain.emplace_back();
          pages.plain.back().Resize(plain);
          auto unpacked = arrow::util::Codec::Create(codec).ValueOrDie()->Decompress(
              static_cast<int64_t>(size), body, static_cast<int64_t>(plain),
              pages.plain.back().data());
          if (!unpacked.ok()) std::exit(1);
          pages.work.push_back({pages.plain.back().data(), plain, size, codec, true});
        }
        at += header->header_bytes + size;
      }
    }
  }
}

void Do(const Work& work, Buffer& scratch) {
  auto codec = arrow::util::Codec::Create(static_cast<arrow::Compression::type>(work.codec),
                                          arrow::util::kUseDefaultCompressionLevel)
                   .ValueOrDie();
  const auto size = static_cast<int64_t>(work.size);
  if (work.compress) {
    const int64_t most = codec->MaxCompressedLen(size, work.bytes);
    scratch.Resize(static_cast<size_t>(most));
    (void)codec->Compress(size, work.bytes, most, scratch.data()).ValueOrDie();
  } else {
    scratch.Resize(work.other_size);
    (void)codec->Decompress(size, work.bytes, static_cast<int64_t>(work.other_size), scratch.data())
        .ValueOrDie();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  unsigned threads = 1;
  const std::string_view text = argv[1];
  std::from_chars(text.data(), text.data() + text.size(), threads);
  Pages pages;
  Add({argv + 3, argv + argc}, false, pages);
  Add({argv[2]}, true, pages);
  std::atomic<size_t> next{0};
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::thread> running;
  for (unsigned i = 0; i < threads; ++i) {
    running.emplace_back([&] {
      Buffer scratch;
      for (size_t at = next++; at < pages.work.size(); at = next++) Do(pages.work[at], scratch);
    });
  }
  for (auto& thread : running) thread.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("{\"seconds\": %.4f}\n", took.count());
  return 0;
}
