// An HTTP/1.1 request's head, parsed strictly in place. Everything two parsers could read in two
// ways is refused: bare LF, folded lines, blanks before a colon, Content-Length given twice or
// beside Transfer-Encoding, any transfer coding but chunked, a Host that is missing, doubled or
// contradicts an absolute URI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace varve::server {

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kDelete, kOptions, kOther };
std::string_view ToString(Method method);

struct HeaderField {
  std::string_view name, value;
};

// Views into the connection's head buffer, valid until the reply is given.
struct RequestHead {
  Method method = Method::kOther;
  std::string_view path, query;  // as sent: not decoded
  std::string_view host;
  uint8_t version_minor = 1;
  std::vector<HeaderField> fields;
  bool chunked = false;
  bool has_content_length = false;
  uint64_t content_length = 0;
  bool keep_alive = true;
  bool expect_continue = false;
  bool upgrade_websocket = false;

  std::string_view Find(std::string_view name) const;  // any case; "" where it is not there
  bool Has(std::string_view name) const;
  bool has_body() const { return chunked || content_length > 0; }
};

struct HeadLimits {
  size_t head_bytes_max, uri_bytes_max, fields_max;
};

struct HeadProblem {
  int status = 400;  // 400, 414, 431, 501, 505
  std::string_view what;
};

enum class HeadState : uint8_t { kNeedMore, kComplete, kBad };

// Looks for the head's end in what has been received. *scanned is where the last call stopped (0
// at first); on kComplete it is the head's size.
HeadState ScanHead(std::string_view received, const HeadLimits& limits, size_t* scanned,
                   HeadProblem* problem);

// head: what ScanHead found whole. False: *problem says why not.
bool ParseHead(std::string_view head, const HeadLimits& limits, RequestHead* out,
               HeadProblem* problem);

bool EqualsIgnoreCase(std::string_view a, std::string_view b);
// Nothing where an escape is broken. plus_is_space: as in a query string.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space);
using QueryParams = std::vector<std::pair<std::string, std::string>>;
std::optional<QueryParams> ParseQueryString(std::string_view query);

// The chunked coding, fed piece by piece.
class ChunkDecoder {
 public:
  explicit ChunkDecoder(uint64_t bytes_max) : bytes_max_(bytes_max) {}
  enum class State : uint8_t { kNeedMore, kDone, kBad, kTooLarge };
  // Appends the data in `in` to *out; *used is how much of `in` belonged to the body.
  State Feed(std::string_view in, std::string* out, size_t* used);

 private:
  enum class Step : uint8_t {
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailer,
    kTrailerLf
  };
  State FeedByte(char c);
  State EndOfSizeLine();
  uint64_t bytes_max_;
  uint64_t total_ = 0, chunk_ = 0, overhead_bytes_ = 0;
  uint32_t size_digits_ = 0;
  bool trailer_line_empty_ = true;
  Step step_ = Step::kSize;
};

}  // namespace varve::server
