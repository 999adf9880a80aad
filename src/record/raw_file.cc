// Raw files: tail items as NDJSON behind a header line.
#include <string>

#include "core/bytes.h"
#include "record/event.h"
#include "record/json_index.h"
#include "record/json_scan.h"
#include "record/json_text.h"
#include "record/log_row.h"

namespace varve::record {
namespace {

std::string_view WithoutCr(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

Result<RawHeader> ReadHeader(std::string_view line) {
  auto bad = [](const std::string& why) {
    return MakeError(ErrorKind::kInvalid, "BAD_RAW_HEADER", "raw file: header line: " + why);
  };
  if (IsBlank(line)) return bad("the file is empty or starts with a blank line");
  JsonChecker checker;
  if (const char* error = checker.Check(line)) return bad(error);
  if (line.find_first_not_of(" \t") == std::string_view::npos) return bad("empty");
  std::string_view object = line.substr(line.find_first_not_of(" \t"));
  if (object[0] != '{') return bad("not a JSON object");
  JsonValue do_id = FindMember(object, "doId");
  JsonValue created_at = FindMember(object, "createdAt");
  JsonValue batch_seq = FindMember(object, "batchSeq");
  if (!do_id.is_string()) return bad("doId is not a string");
  if (!created_at.is_number() || !created_at.AsInteger()) return bad("createdAt is not a number");
  if (!batch_seq.is_number() || !batch_seq.AsInteger() || *batch_seq.AsInteger() < 0) {
    return bad("batchSeq is not a number");
  }
  return RawHeader{do_id.AsString(), *created_at.AsInteger(),
                   static_cast<uint64_t>(*batch_seq.AsInteger())};
}

}  // namespace

std::string WriteRawFile(const RawHeader& header, const std::vector<std::string_view>& items) {
  std::string bytes = "{\"doId\":" + JsonQuote(header.do_id) +
                      ",\"createdAt\":" + std::to_string(header.created_at) +
                      ",\"batchSeq\":" + std::to_string(header.batch_seq) + "}";
  size_t size = bytes.size();
  for (std::string_view item : items) size += item.size() + 1;
  bytes.reserve(size);
  for (std::string_view item : items) {
    bytes += '\n';
    bytes += item;
  }
  return bytes;
}

Result<RawFile> ReadRawFile(std::string_view bytes) {
  RawFile file;
  size_t end = std::min(bytes.find('\n'), bytes.size());
  file.header = TRY(ReadHeader(WithoutCr(bytes.substr(0, end))));
  JsonChecker checker;
  for (uint64_t line_number = 2; end < bytes.size(); ++line_number) {
    const size_t start = end + 1;
    end = std::min(bytes.find('\n', start), bytes.size());
    std::string_view line = WithoutCr(bytes.substr(start, end - start));
    if (IsBlank(line)) continue;
    if (const char* error = checker.Check(line)) {
      file.bad.emplace_back(line_number, error);
    } else {
      file.items.push_back(line);
    }
  }
  return file;
}

}  // namespace varve::record
