#include "core/clock.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <time.h>

#include <cmath>
#include <limits>
#include <random>

namespace varve {
namespace {

class MachineClock : public Clock {
 public:
  int64_t NowMs() const override {
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
  }
  int64_t MonotonicNs() const override {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
  }
};

class KernelRandom : public Random {
 public:
  void Fill(std::span<uint8_t> out) override {
    while (!out.empty()) {
      ssize_t got = getrandom(out.data(), out.size(), 0);
      if (got > 0) out = out.subspan(static_cast<size_t>(got));
    }
  }
};

class EngineRandom : public Random {
 public:
  explicit EngineRandom(uint64_t seed) : engine_(seed) {}
  void Fill(std::span<uint8_t> out) override {
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
int64_t DaysFromCivil(int64_t y, int64_t m, int64_t d) {
  y -= m <= 2;
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const int64_t yoe = y - era * 400;
  const int64_t doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
  const int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + doe - 719468;
}

int DaysInMonth(int year, int month) {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

// Reads fixed-width digits and separators from the front of the text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  bool Digits(int count, int* out) {
    if (text_.size() < static_cast<size_t>(count)) return false;
    int value = 0;
    for (int i = 0; i < count; ++i) {
      if (text_[i] < '0' || text_[i] > '9') return false;
      value = value * 10 + (text_[i] - '0');
    }
    text_.remove_prefix(static_cast<size_t>(count));
    *out = value;
    return true;
  }
  bool Take(char c) {
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  char Peek() const { return text_.empty() ? '\0' : text_[0]; }
  bool done() const { return text_.empty(); }

 private:
  std::string_view text_;
};

bool ScanFraction(Scanner& in, int* millis) {
  int digits = 0;
  int value = 0;
  for (int digit; in.Peek() >= '0' && in.Peek() <= '9'; ++digits) {
    in.Digits(1, &digit);
    if (digits < 3) value = value * 10 + digit;
  }
  for (int i = digits; i < 3; ++i) value *= 10;
  *millis = value;
  return digits > 0 && digits <= 9;
}

bool ScanZone(Scanner& in, int64_t* offset_ms) {
  *offset_ms = 0;
  if (in.done() || in.Take('Z') || in.Take('z')) return true;
  int sign = in.Take('+') ? 1 : in.Take('-') ? -1 : 0;
  int hours = 0;
  int minutes = 0;
  if (sign == 0 || !in.Digits(2, &hours) || hours > 23) return false;
  in.Take(':');
  if (!in.done() && (!in.Digits(2, &minutes) || minutes > 59)) return false;
  *offset_ms = sign * (hours * 60 + minutes) * 60'000LL;
  return true;
}

bool ScanTimeOfDay(Scanner& in, CivilTime* t) {
  if (!in.Digits(2, &t->hour) || t->hour > 23) return false;
  if (!in.Take(':') || !in.Digits(2, &t->minute) || t->minute > 59) return false;
  if (!in.Take(':')) return true;
  if (!in.Digits(2, &t->second) || t->second > 60) return false;
  if (in.Take('.') || in.Take(',')) return ScanFraction(in, &t->millis);
  return true;
}

}  // namespace

const Clock& SystemClock() {
  static const MachineClock clock;
  return clock;
}

uint64_t Random::Next() {
  uint64_t value;
  Fill({reinterpret_cast<uint8_t*>(&value), sizeof value});
  return value;
}

uint64_t Random::Below(uint64_t bound) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
}

Random& SystemRandom() {
  static KernelRandom random;
  return random;
}

std::unique_ptr<Random> SeededRandom(uint64_t seed) { return std::make_unique<EngineRandom>(seed); }

CivilTime CivilFromMs(int64_t ms) {
  int64_t days = ms / 86'400'000;
  int64_t rest = ms % 86'400'000;
  if (rest < 0) {
    rest += 86'400'000;
    --days;
  }
  const int64_t z = days + 719468;
  const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const int64_t doe = z - era * 146097;
  const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const int64_t mp = (5 * doy + 2) / 153;
  CivilTime t{};
  t.day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  t.month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  t.year = static_cast<int>(yoe + era * 400 + (t.month <= 2));
  t.hour = static_cast<int>(rest / 3'600'000);
  t.minute = static_cast<int>(rest / 60'000 % 60);
  t.second = static_cast<int>(rest / 1000 % 60);
  t.millis = static_cast<int>(rest % 1000);
  return t;
}

int64_t MsFromCivil(const CivilTime& t) {
  return ((DaysFromCivil(t.year, t.month, t.day) * 24 + t.hour) * 60 + t.minute) * 60'000 +
         t.second * 1000LL + t.millis;
}

std::string FormatIso(int64_t ms) {
  CivilTime t = CivilFromMs(ms);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", t.year, t.month, t.day, t.hour,
                     t.minute, t.second, t.millis);
}

Result<int64_t> ParseIso(std::string_view text) {
  Scanner in(text);
  CivilTime t{};
  int64_t offset_ms = 0;
  bool ok = in.Digits(4, &t.year) && in.Take('-') && in.Digits(2, &t.month) && in.Take('-') &&
            in.Digits(2, &t.day) && t.month >= 1 && t.month <= 12 && t.day >= 1 &&
            t.day <= DaysInMonth(t.year, t.month);
  if (ok && (in.Take('T') || in.Take('t') || in.Take(' '))) {
    ok = ScanTimeOfDay(in, &t) && ScanZone(in, &offset_ms);
  }
  if (!ok || !in.done()) {
    return MakeError(ErrorKind::kInvalid, "INVALID_TIME",
                     "not an ISO 8601 time: " + std::string(text.substr(0, 40)));
  }
  return MsFromCivil(t) - offset_ms;
}

int64_t EpochToMs(double number) {
  double ms = std::abs(number) < 1e11 ? number * 1000.0 : number;
  if (!(std::abs(ms) < 9e18)) return std::numeric_limits<int64_t>::max();
  return std::llround(ms);
}

}  // namespace varve
