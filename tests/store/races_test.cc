// Many threads on the same keys.
#include <gtest/gtest.h>

#include <atomic>
#include <charconv>
#include <latch>
#include <thread>

#include "core/bytes.h"
#include "stores.h"

namespace varve::store {
namespace {

using RacesTest = StoreTest;
INSTANTIATE_TEST_SUITE_P(Stores, RacesTest,
                         testing::Values(StoreKind::kLocal, StoreKind::kPortable,
                                         StoreKind::kMemory),
                         [](const auto& info) { return NameOf(info.param); });

void InParallel(int threads, const std::function<void(int)>& body) {
  std::latch start(threads);
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      start.arrive_and_wait();
      body(i);
    });
  }
  for (std::thread& thread : running) thread.join();
}

TEST_P(RacesTest, OfTwentyCreatorsExactlyOneWins) {
  for (int round = 0; round < 20; ++round) {
    const std::string key = "round/" + std::to_string(round) + "/winner";
    std::atomic<int> winner{-1}, wins{0}, conflicts{0};
    InParallel(20, [&](int i) {
      const auto put = store_->Put(key, "racer " + std::to_string(i), IfAbsent());
      if (put.ok()) {
        ++wins;
        winner = i;
      } else if (put.error().kind == ErrorKind::kConflict) {
        ++conflicts;
      }
    });
    EXPECT_EQ(wins, 1);
    EXPECT_EQ(conflicts, 19);
    EXPECT_EQ(MustGet(*store_, key), "racer " + std::to_string(winner));
  }
}

TEST_P(RacesTest, TwoStoresOnOneDirectoryStillCreateOnce) {
  if (GetParam() == StoreKind::kMemory) return;  // has no directory to share
  auto other = OpenStore(GetParam(), dir_.path());
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> wins{0};
    InParallel(8, [&](int i) {
      ObjectStore& store = i % 2 == 0 ? *store_ : *other;
      wins += store.Put("k" + std::to_string(round), std::to_string(i), IfAbsent()).ok() ? 1 : 0;
    });
    EXPECT_EQ(wins, 1);
  }
}

TEST_P(RacesTest, IncrementsByIfMatchAreNeverLost) {
  MustPut(*store_, "counter", "0");
  constexpr int kThreads = 8, kIncrements = 25;
  InParallel(kThreads, [&](int) {
    for (int done = 0; done < kIncrements;) {
      const auto head = store_->Head("counter");
      const auto bytes = store_->Get("counter");
      ASSERT_TRUE(head.ok() && bytes.ok());
      if (Md5Hex(*bytes) != head->etag) continue;  // replaced between the two calls
      int n = 0;
      std::from_chars(bytes->data(), bytes->data() + bytes->size(), n);
      const auto put = store_->Put("counter", std::to_string(n + 1), IfMatch(head->etag));
      if (put.ok()) {
        ++done;
      } else {
        ASSERT_EQ(put.error().kind, ErrorKind::kConflict) << put.error().message;
      }
    }
  });
  EXPECT_EQ(MustGet(*store_, "counter"), std::to_string(kThreads * kIncrements));
}

TEST_P(RacesTest, AReaderSeesOneVersionWholeWithItsOwnRecord) {
  const auto version = [](int i) { return std::string(1000 + 13 * i, static_cast<char>('a' + i)); };
  const auto options = [](int i) {
    PutOptions options;
    options.metadata = {{"version", std::to_string(i)}, {"pad", std::string(i * 400, 'p')}};
    return options;
  };
  MustPut(*store_, "x", version(0), options(0));
  std::atomic<bool> stop{false};
  InParallel(4, [&](int thread) {
    if (thread == 0) {
      for (int i = 0; i < 300; ++i) MustPut(*store_, "x", version(i % 20), options(i % 20));
      stop = true;
      return;
    }
    while (!stop) {
      const std::string bytes = MustGet(*store_, "x");
      ASSERT_FALSE(bytes.empty());
      EXPECT_EQ(bytes, version(bytes[0] - 'a'));
      const auto head = store_->Head("x");
      ASSERT_TRUE(head.ok());
      ASSERT_TRUE(head->metadata.contains("version")) << "looked like a foreign file";
      const int seen = std::stoi(head->metadata.at("version"));
      EXPECT_EQ(head->size, version(seen).size());
      EXPECT_EQ(head->etag, Md5Hex(version(seen)));
    }
  });
}

TEST_P(RacesTest, PutsInAFolderThatDeletesKeepRemovingAllSucceed) {
  InParallel(6, [&](int thread) {
    const std::string key = "deep/er/" + std::to_string(thread);
    for (int i = 0; i < 200; ++i) {
      MustPut(*store_, key, "x");
      EXPECT_EQ(MustGet(*store_, key), "x");
      EXPECT_TRUE(store_->Delete(key).ok());
    }
  });
  EXPECT_TRUE(Keys(*store_).empty());
}

TEST_P(RacesTest, ListingsDuringChangesAreInOrderAndMissNothingThatStays) {
  for (int i = 0; i < 50; ++i) MustPut(*store_, "stay/" + std::to_string(100 + i), "");
  std::atomic<bool> stop{false};
  InParallel(3, [&](int thread) {
    if (thread < 2) {
      for (int i = 0; i < 300; ++i) {
        const std::string key =
            "stay/" + std::to_string(100 + i % 50) + "-" + std::to_string(thread);
        MustPut(*store_, key, "");
        EXPECT_TRUE(store_->Delete(key).ok());
      }
      stop = true;
      return;
    }
    while (!stop) {
      const auto keys = Keys(*store_, "stay/", 7);
      EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
      EXPECT_EQ(std::count_if(keys.begin(), keys.end(),
                              [](const auto& key) { return key.find('-') == std::string::npos; }),
                50);
    }
  });
}

}  // namespace
}  // namespace varve::store
