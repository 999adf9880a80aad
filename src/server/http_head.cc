#include "server/http_head.h"

#include <array>
#include <charconv>
#include <cstring>

namespace varve::server {
namespace {

constexpr std::array<bool, 256> MakeTokenTable() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
  for (char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    table[static_cast<uint8_t>(c)] = true;
  }
  return table;
}
constexpr std::array<bool, 256> kToken = MakeTokenTable();

bool IsToken(std::string_view text) {
  for (char c : text) {
    if (!kToken[static_cast<uint8_t>(c)]) return false;
  }
  return !text.empty();
}

bool IsFieldValue(std::string_view text) {
  for (char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return false;
  }
  return true;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool ListHas(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (EqualsIgnoreCase(Trim(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

Method MethodOf(std::string_view text) {
  if (text == "GET") return Method::kGet;
  if (text == "POST") return Method::kPost;
  if (text == "HEAD") return Method::kHead;
  if (text == "PUT") return Method::kPut;
  if (text == "DELETE") return Method::kDelete;
  if (text == "OPTIONS") return Method::kOptions;
  return Method::kOther;
}

bool Fail(HeadProblem* problem, int status, std::string_view what) {
  *problem = {status, what};
  return false;
}

// origin-form, absolute-form or "*"; *authority is set for an absolute form.
bool ParseTarget(std::string_view target, RequestHead* out, std::string_view* authority,
                 HeadProblem* problem) {
  for (char c : target) {
    if (c <= 0x20 || c == 0x7f || c == '#' || static_cast<uint8_t>(c) >= 0x80) {
      return Fail(problem, 400, "a character that may not be in a request target");
    }
  }
  if (target == "*" && out->method == Method::kOptions) {
    out->path = target;
    return true;
  }
  if (target.starts_with("http://") || target.starts_with("https://")) {
    target.remove_prefix(target.find("//") + 2);
    const size_t end = target.find_first_of("/?");
    *authority = target.substr(0, end);
    if (authority->empty()) return Fail(problem, 400, "a request target without an authority");
    target = end == std::string_view::npos ? std::string_view("/") : target.substr(end);
  }
  if (!target.starts_with('/')) return Fail(problem, 400, "the request target must be a path");
  const size_t question = target.find('?');
  out->path = target.substr(0, question);
  if (question != std::string_view::npos) out->query = target.substr(question + 1);
  return true;
}

bool ParseRequestLine(std::string_view line, const HeadLimits& limits, RequestHead* out,
                      std::string_view* authority, HeadProblem* problem) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return Fail(problem, 400, "a request line is METHOD target HTTP/1.1");
  }
  const std::string_view method = line.substr(0, first);
  const std::string_view version = line.substr(last + 1);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (!IsToken(method)) return Fail(problem, 400, "the method is not a token");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return version.starts_with("HTTP/") ? Fail(problem, 505, "only HTTP/1.1 is spoken here")
                                        : Fail(problem, 400, "no HTTP version");
  }
  if (target.empty() || target.size() > limits.uri_bytes_max) {
    return Fail(problem, target.empty() ? 400 : 414, "the request target is too long");
  }
  out->version_minor = version.back() == '1' ? 1 : 0;
  out->method = MethodOf(method);
  return ParseTarget(target, out, authority, problem);
}

bool ParseFields(std::string_view rest, const HeadLimits& limits, RequestHead* out,
                 HeadProblem* problem) {
  while (rest != "\r\n") {
    const size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    if (line.front() == ' ' || line.front() == '\t') {
      return Fail(problem, 400, "a folded header line");
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !IsToken(line.substr(0, colon))) {
      return Fail(problem, 400, "a header line without a proper name");
    }
    const std::string_view value = Trim(line.substr(colon + 1));
    if (!IsFieldValue(value)) return Fail(problem, 400, "a control character in a header");
    if (out->fields.size() == limits.fields_max) return Fail(problem, 431, "too many headers");
    out->fields.push_back({line.substr(0, colon), value});
  }
  return true;
}

bool ParseContentLength(std::string_view value, RequestHead* out, HeadProblem* problem) {
  if (out->has_content_length) return Fail(problem, 400, "Content-Length given twice");
  const char* end = value.data() + value.size();
  const auto [at, error] = std::from_chars(value.data(), end, out->content_length);
  if (value.empty() || value.front() == '-' || error != std::errc() || at != end) {
    return Fail(problem, 400, "Content-Length is not a number");
  }
  out->has_content_length = true;
  return true;
}

bool ReadFraming(RequestHead* out, size_t* hosts, HeadProblem* problem) {
  for (const HeaderField& field : out->fields) {
    if (EqualsIgnoreCase(field.name, "host")) {
      out->host = field.value;
      ++*hosts;
    } else if (EqualsIgnoreCase(field.name, "content-length")) {
      if (!ParseContentLength(field.value, out, problem)) return false;
    } else if (EqualsIgnoreCase(field.name, "transfer-encoding")) {
      if (out->chunked || !EqualsIgnoreCase(field.value, "chunked")) {
        return Fail(problem, 400, "a Transfer-Encoding other than chunked");
      }
      out->chunked = true;
    } else if (EqualsIgnoreCase(field.name, "connection")) {
      if (ListHas(field.value, "close")) out->keep_alive = false;
      if (out->version_minor == 0 && ListHas(field.value, "keep-alive")) out->keep_alive = true;
    } else if (EqualsIgnoreCase(field.name, "expect")) {
      if (!EqualsIgnoreCase(field.value, "100-continue")) {
        return Fail(problem, 417, "an expectation other than 100-continue");
      }
      out->expect_continue = out->version_minor == 1;
    } else if (EqualsIgnoreCase(field.name, "upgrade")) {
      out->upgrade_websocket = ListHas(field.value, "websocket");
    }
  }
  if (out->chunked && out->has_content_length) {
    return Fail(problem, 400, "both Content-Length and Transfer-Encoding");
  }
  if (out->chunked && out->version_minor == 0) {
    return Fail(problem, 400, "Transfer-Encoding in HTTP/1.0");
  }
  return true;
}

}  // namespace

std::string_view ToString(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kHead:
      return "HEAD";
    case Method::kPost:
      return "POST";
    case Method::kPut:
      return "PUT";
    case Method::kDelete:
      return "DELETE";
    case Method::kOptions:
      return "OPTIONS";
    case Method::kOther:
      break;
  }
  return "OTHER";
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

std::string_view RequestHead::Find(std::string_view name) const {
  for (const HeaderField& field : fields) {
    if (EqualsIgnoreCase(field.name, name)) return field.value;
  }
  return {};
}

bool RequestHead::Has(std::string_view name) const {
  for (const HeaderField& field : fields) {
    if (EqualsIgnoreCase(field.name, name)) return true;
  }
  return false;
}

HeadState ScanHead(std::string_view received, const HeadLimits& limits, size_t* scanned,
                   HeadProblem* problem) {
  // *scanned stays at the start of a line, so that every line is seen whole.
  bool first_line = *scanned == 0;
  while (*scanned < received.size()) {
    const void* found = std::memchr(received.data() + *scanned, '\n', received.size() - *scanned);
    if (found == nullptr) break;
    const size_t lf = static_cast<size_t>(static_cast<const char*>(found) - received.data());
    if (lf == *scanned || received[lf - 1] != '\r') {
      *problem = {400, "a line that does not end in CRLF"};
      return HeadState::kBad;
    }
    const bool empty = lf == *scanned + 1;
    *scanned = lf + 1;
    if (*scanned > limits.head_bytes_max) break;
    if (empty && !first_line) return HeadState::kComplete;
    if (empty) {
      *problem = {400, "an empty request line"};
      return HeadState::kBad;
    }
    first_line = false;
  }
  if (received.size() <= limits.head_bytes_max && *scanned <= limits.head_bytes_max) {
    return HeadState::kNeedMore;
  }
  *problem = first_line ? HeadProblem{414, "the request target is too long"}
                        : HeadProblem{431, "the headers are too large"};
  return HeadState::kBad;
}

bool ParseHead(std::string_view head, const HeadLimits& limits, RequestHead* out,
               HeadProblem* problem) {
  *out = RequestHead{};
  out->fields.reserve(16);
  const size_t line_end = head.find("\r\n");
  std::string_view authority;
  if (!ParseRequestLine(head.substr(0, line_end), limits, out, &authority, problem)) return false;
  out->keep_alive = out->version_minor == 1;
  if (!ParseFields(head.substr(line_end + 2), limits, out, problem)) return false;
  size_t hosts = 0;
  if (!ReadFraming(out, &hosts, problem)) return false;
  if (hosts > 1 || (hosts == 0 && out->version_minor == 1)) {
    return Fail(problem, 400, "exactly one Host header is needed");
  }
  if (!authority.empty() && !EqualsIgnoreCase(authority, out->host)) {
    return Fail(problem, 400, "the Host header contradicts the request target");
  }
  return true;
}

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return out;
}

std::optional<QueryParams> ParseQueryString(std::string_view query) {
  constexpr size_t kParamsMax = 64;
  QueryParams params;
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    auto name = PercentDecode(pair.substr(0, equals), true);
    auto value = equals == std::string_view::npos ? std::optional<std::string>("")
                                                  : PercentDecode(pair.substr(equals + 1), true);
    if (!name || !value || params.size() == kParamsMax) return std::nullopt;
    params.emplace_back(std::move(*name), std::move(*value));
  }
  return params;
}

ChunkDecoder::State ChunkDecoder::EndOfSizeLine() {
  if (size_digits_ == 0) return State::kBad;
  size_digits_ = 0;
  if (chunk_ == 0) {
    step_ = Step::kTrailer;
    trailer_line_empty_ = true;
    return State::kNeedMore;
  }
  if (chunk_ > bytes_max_ - total_) return State::kTooLarge;
  step_ = Step::kData;
  return State::kNeedMore;
}

ChunkDecoder::State ChunkDecoder::FeedByte(char c) {
  // Sizes, extensions and trailers may not be used to send without end.
  constexpr uint64_t kOverheadBytesFree = 64 * 1024;
  constexpr uint64_t kOverheadPerByte = 8;  // a chunk a byte is 5
  if (++overhead_bytes_ > kOverheadBytesFree + kOverheadPerByte * total_) return State::kBad;
  switch (step_) {
    case Step::kSize: {
      if (const int digit = HexDigit(c); digit >= 0) {
        if (++size_digits_ > 15) return State::kBad;
        chunk_ = chunk_ * 16 + static_cast<uint64_t>(digit);
        return State::kNeedMore;
      }
      if (c == '\r')
        step_ = Step::kSizeLf;
      else if (c == ';' && size_digits_ > 0)
        step_ = Step::kExtension;
      else
        return State::kBad;
      return State::kNeedMore;
    }
    case Step::kExtension:
      if (c == '\r') step_ = Step::kSizeLf;
      return c == '\n' ? State::kBad : State::kNeedMore;
    case Step::kSizeLf:
      return c == '\n' ? EndOfSizeLine() : State::kBad;
    case Step::kDataCr:
      step_ = Step::kDataLf;
      return c == '\r' ? State::kNeedMore : State::kBad;
    case Step::kDataLf:
      step_ = Step::kSize;
      return c == '\n' ? State::kNeedMore : State::kBad;
    case Step::kTrailer:
      if (c == '\r')
        step_ = Step::kTrailerLf;
      else
        trailer_line_empty_ = false;
      return c == '\n' ? State::kBad : State::kNeedMore;
    case Step::kTrailerLf:
      if (c != '\n') return State::kBad;
      if (trailer_line_empty_) return State::kDone;
      step_ = Step::kTrailer;
      trailer_line_empty_ = true;
      return State::kNeedMore;
    case Step::kData:
      break;
  }
  return State::kBad;
}

ChunkDecoder::State ChunkDecoder::Feed(std::string_view in, std::string* out, size_t* used) {
  *used = 0;
  while (*used < in.size()) {
    if (step_ == Step::kData) {
      const size_t take = std::min<uint64_t>(chunk_, in.size() - *used);
      out->append(in.substr(*used, take));
      *used += take;
      chunk_ -= take;
      total_ += take;
      if (chunk_ == 0) step_ = Step::kDataCr;
      continue;
    }
    const State state = FeedByte(in[*used]);
    ++*used;
    if (state != State::kNeedMore) return state;
  }
  return State::kNeedMore;
}

}  // namespace varve::server
