// Time and randomness, handed in so that a test can be a simulation.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"

namespace varve {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t NowMs() const = 0;        // wall clock, UTC milliseconds since 1970
  virtual int64_t MonotonicNs() const = 0;  // never goes back; for intervals only
};

// The machine's clock. One object, thread-safe, lives for the process.
const Clock& SystemClock();

class ManualClock : public Clock {  // for tests; not thread-safe
 public:
  explicit ManualClock(int64_t now_ms) : now_ms_(now_ms) {}
  int64_t NowMs() const override { return now_ms_; }
  int64_t MonotonicNs() const override { return now_ms_ * 1'000'000; }
  void AdvanceMs(int64_t ms) { now_ms_ += ms; }

 private:
  int64_t now_ms_;
};

class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(std::span<uint8_t> out) = 0;
  uint64_t Next();
  uint64_t Below(uint64_t bound);  // uniform enough for jitter; bound > 0
};

Random& SystemRandom();                               // getrandom(2); thread-safe
std::unique_ptr<Random> SeededRandom(uint64_t seed);  // same seed, same bytes; not thread-safe

struct CivilTime {
  int year, month, day, hour, minute, second, millis;
};
CivilTime CivilFromMs(int64_t ms);  // UTC, proleptic Gregorian
int64_t MsFromCivil(const CivilTime& civil);
std::string FormatIso(int64_t ms);  // 2026-02-02T14:30:00.000Z

// ISO 8601 date or date-time ("2026-02-02", "2026-02-02T14:30:00.123456Z", "+02:00", a space for
// the T, no zone = UTC) to milliseconds; kInvalid otherwise. Digits past milliseconds are cut.
Result<int64_t> ParseIso(std::string_view text);

// Epoch numbers in seconds become milliseconds (|n| < 1e11 is taken for seconds).
int64_t EpochToMs(double number);

}  // namespace varve
