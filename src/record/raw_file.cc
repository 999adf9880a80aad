#include <fmt/format.h>

#include "core/bytes.h"
#include "record/log_row.h"
#include "record/trace_item.h"

namespace varve::record {

namespace {

Error BadHeader(std::string_view why) {
  return MakeError(ErrorKind::kInvalid, "BAD_RAW_HEADER", fmt::format("raw file: {}", why));
}

Result<RawHeader> ReadHeader(std::string_view line) {
  if (const char* error = CheckJson(line, kTraceDepthMax)) return BadHeader(error);
  const char* begin = SkipJsonSpace(line.data(), line.data() + line.size());
  line.remove_prefix(begin - line.data());
  const JsonValue do_id = FindMember(line, "doId");
  const JsonValue created_at = FindMember(line, "createdAt");
  const JsonValue batch_seq = FindMember(line, "batchSeq");
  if (!do_id.is_string() || !created_at.is_number() || !batch_seq.is_number()) {
    return BadHeader("the first line is not {doId, createdAt, batchSeq}");
  }
  const auto created = created_at.AsInteger(), seq = batch_seq.AsInteger();
  if (!created || !seq || *seq < 0) return BadHeader("createdAt or batchSeq is out of range");
  return RawHeader{do_id.AsString(), *created, static_cast<uint64_t>(*seq)};
}

// Empty: the line holds an item.
std::string ItemError(std::string_view line) {
  if (const char* error = CheckJson(line, kTraceDepthMax)) return error;
  const char* begin = SkipJsonSpace(line.data(), line.data() + line.size());
  line.remove_prefix(begin - line.data());
  std::vector<std::string> errors, dropped;
  ReadTraceItem(JsonValue{line}, &errors, &dropped);
  return errors.empty() ? std::string() : errors.front();
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

std::string WriteRawFile(const RawHeader& header, const std::vector<std::string_view>& items) {
  std::string out = fmt::format(R"({{"doId":{},"createdAt":{},"batchSeq":{}}})",
                                JsonQuote(header.do_id), header.created_at, header.batch_seq);
  for (const std::string_view item : items) {
    CHECK(item.find('\n') == std::string_view::npos);
    out += '\n';
    out += item;
  }
  return out;
}

Result<RawFile> ReadRawFile(std::string_view bytes) {
  if (IsBlank(bytes.substr(0, bytes.find('\n')))) return BadHeader("empty");
  RawFile file;
  uint64_t number = 0;
  for (size_t begin = 0; begin < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', begin), bytes.size());
    const std::string_view line = bytes.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (number == 1) {
      file.header = TRY(ReadHeader(line));
      continue;
    }
    if (IsBlank(line)) continue;
    std::string error = ItemError(line);
    if (error.empty()) {
      file.items.push_back(line);
    } else {
      file.bad.emplace_back(number, std::move(error));
    }
  }
  return file;
}

}  // namespace varve::record
