#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "app/config_load.h"
#include "app/config_table.h"
#include "app/config_value.h"
#include "app/temp_dir.h"

namespace varve::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Result<LoadedConfig> LoadText(const std::string& toml,
                              std::map<std::string, std::string> environment = {}) {
  TempDir dir;
  return LoadConfig({dir.Write("varve.toml", toml), std::move(environment), {}});
}

std::string ErrorOf(const std::string& toml, std::map<std::string, std::string> environment = {}) {
  Result<LoadedConfig> loaded = LoadText(toml, std::move(environment));
  EXPECT_FALSE(loaded.ok());
  return loaded.ok() ? "" : loaded.error().message;
}

TEST(Config, WithoutAFileEveryKeyHasItsDefault) {
  Result<LoadedConfig> loaded = LoadConfig({});
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_TRUE(loaded->origins.empty());
  EXPECT_EQ(loaded->config.server.address, "127.0.0.1");
  EXPECT_EQ(loaded->config.server.port, 8080);
}

TEST(Config, TheDefaultsOfTheSeedsStay) {
  Config config;
  EXPECT_EQ(config.flush.raw_events_prefix, "raw-events");
  EXPECT_EQ(config.flush.raw_events_batch_size, 100u);
  EXPECT_EQ(config.flush.flush_interval_ms, 30'000u);
  EXPECT_EQ(config.compact.parquet_prefix, "logs/workers");
  EXPECT_EQ(config.compact.flush_threshold, 1000u);
  EXPECT_EQ(config.compact.compression, record::LogCodec::kLz4);
  EXPECT_EQ(config.queue.max_batch_size, 100u);
  EXPECT_EQ(config.queue.max_batch_timeout_ms, 30'000u);
  EXPECT_EQ(config.queue.max_retries, 3u);
}

TEST(Config, FileEnvironmentAndFlagsEachWinOverTheOneBefore) {
  TempDir dir;
  ConfigInputs inputs;
  inputs.file = dir.Write("varve.toml",
                          "data_dir = \"/a\"\n[server]\nlisten = \"127.0.0.1:1\"\n"
                          "[compact]\ncompression = \"zstd\"\n[journal]\nbytes_max = \"2 GiB\"\n");
  inputs.environment = {{"VARVE_SERVER_LISTEN", "127.0.0.1:2"}, {"VARVE_COMPRESSION", "snappy"}};
  inputs.flags = {{"server.listen", "127.0.0.1:3"}};
  Result<LoadedConfig> loaded = LoadConfig(inputs);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->config.data_dir, "/a");
  EXPECT_EQ(loaded->config.server.port, 3);
  EXPECT_EQ(loaded->config.compact.compression, record::LogCodec::kSnappy);
  EXPECT_EQ(loaded->config.journal.bytes_max, 2ull << 30);
  EXPECT_EQ(loaded->origins["server.listen"], "command line");
  EXPECT_EQ(loaded->origins["compact.compression"], "VARVE_COMPRESSION");
  EXPECT_EQ(loaded->origins["journal.bytes_max"], inputs.file + ":7");
}

TEST(Config, AnUnknownKeyIsAnErrorWithFileLineAndTheLikelyName) {
  std::string error = ErrorOf("[server]\n\nlisen = \"127.0.0.1:1\"\n");
  EXPECT_THAT(error, HasSubstr("varve.toml:3: unknown key server.lisen"));
  EXPECT_THAT(error, HasSubstr("did you mean server.listen?"));
  EXPECT_THAT(ErrorOf("[sever]\nlisten = \"127.0.0.1:1\"\n"), HasSubstr("server.listen"));
  EXPECT_THAT(ErrorOf("listen = \"127.0.0.1:1\"\n"), HasSubstr("varve.toml:1: unknown key listen"));
}

TEST(Config, EveryProblemIsToldAtOnceWithWhatIsAllowed) {
  std::string error = ErrorOf(
      "[server]\nio_threads = 0\n[compact]\ncompression = \"lzma\"\n[queue]\nmax_retries = \"3 "
      "s\"\n"
      "[flush]\nevents_flush_ms = 1.5\n");
  EXPECT_THAT(error, HasSubstr("varve.toml:2: server.io_threads: \"0\" is not allowed; allowed: 1 "
                               "to 256 threads"));
  EXPECT_THAT(error,
              HasSubstr("varve.toml:4: compact.compression: \"lzma\" is not allowed; allowed: "
                        "none | snappy | gzip | lz4 | zstd"));
  EXPECT_THAT(error, HasSubstr("varve.toml:6: queue.max_retries"));
  EXPECT_THAT(error,
              HasSubstr("varve.toml:8: flush.events_flush_ms: the value has the wrong type"));
}

TEST(Config, BrokenTomlNamesItsLine) {
  EXPECT_THAT(ErrorOf("data_dir = \"/a\"\n[server\n"), HasSubstr("varve.toml:2:"));
}

TEST(Config, AMisspeltVariableOfASectionIsAnErrorAndForeignOnesAreNot) {
  EXPECT_THAT(ErrorOf("", {{"VARVE_SERVER_LISEN", "x"}}),
              HasSubstr("VARVE_SERVER_LISEN: unknown environment variable; did you mean "
                        "VARVE_SERVER_LISTEN?"));
  EXPECT_TRUE(LoadText("", {{"VARVE_HOME", "/opt/varve"}, {"PATH", "/bin"}}).ok());
}

TEST(Config, SecretsComeFromTheEnvironmentOrAFileOfTheirOwnAndAreNeverShown) {
  TempDir dir;
  std::string secret = dir.Write("github.secret", "hunter2\n");
  Result<LoadedConfig> loaded = LoadText(
      "[webhooks]\ngithub_secret_file = \"" + secret + "\"\n",
      {{"STRIPE_WEBHOOK_SECRET", "whsec_1"}, {"VARVE_WEBHOOKS_SLACK_SECRET_FILE", secret}});
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->config.webhooks.github_secret, "hunter2");
  EXPECT_EQ(loaded->config.webhooks.slack_secret, "hunter2");
  EXPECT_EQ(loaded->config.webhooks.stripe_secret, "whsec_1");
  std::string report = ConfigReport(*loaded);
  EXPECT_THAT(report, Not(HasSubstr("hunter2")));
  EXPECT_THAT(report, Not(HasSubstr("whsec_1")));
  EXPECT_THAT(report, HasSubstr("stripe_secret = \"(set)\""));
  EXPECT_THAT(report, HasSubstr("# STRIPE_WEBHOOK_SECRET"));
  EXPECT_THAT(ErrorOf("[webhooks]\ngithub_secret = \"hunter2\"\n"),
              HasSubstr("a secret does not belong in this file"));
}

TEST(Config, ApiKeysAreTakenAsHashEnvironmentOrFile) {
  TempDir dir;
  std::string file = dir.Write("key", "ns_shop_token\n");
  Result<LoadedConfig> loaded =
      LoadText("[[auth.keys]]\nname = \"a\"\nsha256 = \"" + std::string(64, 'A') +
                   "\"\nscopes = [\"admin\"]\n[[auth.keys]]\nname = \"b\"\nkey_env = \"B_KEY\"\n"
                   "scopes = [\"ingest\", \"query\"]\n[[auth.keys]]\nname = \"c\"\nkey_file = \"" +
                   file + "\"\nscopes = [\"query\"]\nnamespace = \"shop\"\n",
               {{"B_KEY", "s3cret"}});
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const std::vector<server::ApiKey>& keys = loaded->config.server.keys;
  ASSERT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys[0].sha256_hex, std::string(64, 'a'));
  EXPECT_EQ(keys[1].key, "s3cret");
  EXPECT_EQ(keys[1].scopes, server::kScopeIngest | server::kScopeQuery);
  EXPECT_EQ(keys[2].key, "ns_shop_token");
  EXPECT_EQ(keys[2].ns, "shop");
  EXPECT_THAT(ConfigReport(*loaded), Not(HasSubstr("s3cret")));
}

TEST(Config, AWrongApiKeyTableNamesItsLine) {
  std::string error = ErrorOf(
      "[[auth.keys]]\nname = \"a\"\nkey_env = \"UNSET\"\nscopes = [\"root\"]\n"
      "color = 1\n");
  EXPECT_THAT(error, HasSubstr("UNSET (key_env) is not set"));
  EXPECT_THAT(error, HasSubstr("scope root is not one of"));
  EXPECT_THAT(error, HasSubstr("varve.toml:5: unknown key color"));
}

TEST(Config, TablesInTheEnvironmentAreToml) {
  Result<LoadedConfig> loaded =
      LoadText("", {{"VARVE_NOTIFY_RULES", R"([{prefix = "a/", suffix = ".csv", queue = "q"}])"}});
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  ASSERT_EQ(loaded->config.notify.rules.size(), 1u);
  EXPECT_EQ(loaded->config.notify.rules[0].suffix, ".csv");
}

TEST(Config, APublicAddressNeedsKeys) {
  EXPECT_THAT(ErrorOf("[server]\nlisten = \"0.0.0.0:8080\"\n"), HasSubstr("auth.keys is empty"));
  EXPECT_TRUE(LoadText("[server]\nlisten = \"[::1]:8080\"\n").ok());
  EXPECT_THAT(ErrorOf("[server]\nlisten = \"8080\"\n"), HasSubstr("is not HOST:PORT"));
  EXPECT_THAT(ErrorOf("[server]\nlisten = \"127.0.0.1:70000\"\n"), HasSubstr("is not HOST:PORT"));
}

TEST(Config, NamesThatCannotBeUsedAreFoundAtOnce) {
  std::string error = ErrorOf(
      "[flush]\nraw_events_prefix = \"../x\"\n[queue]\n"
      "dead_letter_queue = \"No Spaces\"\n");
  EXPECT_THAT(error, HasSubstr("flush.raw_events_prefix"));
  EXPECT_THAT(error, HasSubstr("is not a queue name"));
}

TEST(Config, QuantitiesHaveUnits) {
  EXPECT_EQ(*ParseQuantity("64 MiB", "bytes"), 64ull << 20);
  EXPECT_EQ(*ParseQuantity("1GB", "bytes"), 1'000'000'000u);
  EXPECT_EQ(*ParseQuantity("30s", "ms"), 30'000u);
  EXPECT_EQ(*ParseQuantity("5 m", "ms"), 300'000u);
  EXPECT_EQ(*ParseQuantity("250ms", "ms"), 250u);
  EXPECT_EQ(*ParseQuantity("7", "rows"), 7u);
  EXPECT_FALSE(ParseQuantity("7 s", "rows").ok());
  EXPECT_FALSE(ParseQuantity("-1", "ms").ok());
  EXPECT_FALSE(ParseQuantity("", "ms").ok());
  EXPECT_FALSE(ParseQuantity("99999999999999 GiB", "bytes").ok());
}

TEST(Config, EveryDefaultLiesWithinItsOwnBoundsAndEveryNameIsUnique) {
  std::set<std::string> names;
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_TRUE(names.insert(EnvironmentName(key)).second) << key.name;
    if (!key.alias.empty()) {
      EXPECT_TRUE(names.insert(std::string(key.alias)).second) << key.alias;
    }
    EXPECT_FALSE(key.description.empty()) << key.name;
    Config config;
    FieldRef field = key.field(config);
    bool number =
        std::holds_alternative<uint32_t*>(field) || std::holds_alternative<uint64_t*>(field);
    if (!number) continue;
    EXPECT_FALSE(key.range.unit.empty()) << key.name;
    Status set = SetConfigValue(key, config, ConfigValueText(key, config));
    EXPECT_TRUE(set.ok()) << key.name << ": " << set.error().message;
  }
}

TEST(Config, TheCommittedReferenceIsTheTables) {
  std::string committed = TempDir::Read(VARVE_SOURCE_DIR "/docs/CONFIGURATION.md");
  EXPECT_TRUE(committed == ConfigReference())
      << "run: build/release/varve config docs > docs/CONFIGURATION.md";
}

}  // namespace
}  // namespace varve::app
