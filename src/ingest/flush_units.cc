#include "ingest/flush_units.h"

#include <limits>

#include "core/bytes.h"

namespace varve::ingest {
namespace {

using state::Row;
using state::Session;

constexpr state::Migration kMigrations[] = {{1, R"(
CREATE TABLE ingest_instance (one INTEGER PRIMARY KEY CHECK (one = 1), tag INTEGER NOT NULL,
                              do_id TEXT NOT NULL);
CREATE TABLE flush_units (id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL,
                          after_lsn INTEGER NOT NULL, upto_lsn INTEGER NOT NULL,
                          created_ms INTEGER NOT NULL, raw_seq INTEGER NOT NULL);
CREATE TABLE flush_streams (stream TEXT PRIMARY KEY, done_lsn INTEGER NOT NULL,
                            raw_seq_done INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE flush_released (one INTEGER PRIMARY KEY CHECK (one = 1), lsn INTEGER NOT NULL);
INSERT INTO flush_released VALUES (1, 0);
CREATE TABLE ingest_dedup (ns TEXT NOT NULL, batch_id TEXT NOT NULL, events INTEGER NOT NULL,
                           expires_ms INTEGER NOT NULL, PRIMARY KEY (ns, batch_id)) WITHOUT ROWID;
CREATE INDEX ingest_dedup_expiry ON ingest_dedup (expires_ms);
)"},
                                            {2, R"(
CREATE TABLE ingest_id_key (one INTEGER PRIMARY KEY CHECK (one = 1), low INTEGER NOT NULL,
                            high INTEGER NOT NULL);
)"}};

Status Prepare(state::Database& database) { return database.Migrate("ingest", kMigrations); }

int64_t Sql(uint64_t value) { return static_cast<int64_t>(value); }

}  // namespace

Result<Instance> LoadInstance(state::Database& database, Random& random) {
  TRY(Prepare(database));
  Instance instance;
  TRY(database.Transact([&](Session& session) -> Status {
    uint8_t bytes[10];
    random.Fill(bytes);
    std::string_view text(reinterpret_cast<const char*>(bytes), sizeof bytes);
    TRY(session.Execute(
        "INSERT OR IGNORE INTO ingest_instance VALUES (1, ?, ?)",
        {static_cast<int64_t>(GetLe<uint32_t>(text.data())), HexEncode(text.substr(4))}));
    TRY(session.Execute("INSERT OR IGNORE INTO ingest_id_key VALUES (1, ?, ?)",
                        {Sql(random.Next()), Sql(random.Next())}));
    return session.Query(
        "SELECT tag, do_id, low, high FROM ingest_instance, ingest_id_key", {},
        [&](const Row& row) {
          instance.tag = static_cast<uint32_t>(row.Int(0));
          instance.do_id = row.Text(1);
          instance.id_key = {static_cast<uint64_t>(row.Int(2)), static_cast<uint64_t>(row.Int(3))};
          return true;
        });
  }));
  return instance;
}

std::string TailStream(std::string_view ns) { return "tail/" + std::string(ns); }

Result<FlushUnits> FlushUnits::Open(state::Database& database) {
  TRY(Prepare(database));
  return FlushUnits(database);
}

Result<FlushState> FlushUnits::Load() {
  FlushState loaded;
  TRY(database_->Transact([&](Session& session) -> Status {
    TRY(session.Query("SELECT stream, done_lsn, raw_seq_done FROM flush_streams", {},
                      [&](const Row& row) {
                        loaded.streams[row.Text(0)] = {static_cast<uint64_t>(row.Int(1)),
                                                       static_cast<uint64_t>(row.Int(2))};
                        return true;
                      }));
    TRY(session.Query(
        "SELECT id, stream, after_lsn, upto_lsn, created_ms, raw_seq FROM flush_units ORDER BY id",
        {}, [&](const Row& row) {
          loaded.open.push_back(
              {static_cast<uint32_t>(row.Int(0)), row.Text(1), static_cast<uint64_t>(row.Int(2)),
               static_cast<uint64_t>(row.Int(3)), row.Int(4), static_cast<uint64_t>(row.Int(5))});
          return true;
        }));
    TRY(session.Query("SELECT seq FROM sqlite_sequence WHERE name = 'flush_units'", {},
                      [&](const Row& row) {
                        loaded.last_unit = static_cast<uint32_t>(row.Int(0));
                        return true;
                      }));
    return session.Query("SELECT lsn FROM flush_released", {}, [&](const Row& row) {
      loaded.released = static_cast<uint64_t>(row.Int(0));
      return true;
    });
  }));
  return loaded;
}

Result<uint32_t> FlushUnits::Begin(const FlushUnit& unit) {
  int64_t id = 0;
  TRY(database_->Transact([&](Session& session) -> Status {
    TRY(session.Execute(
        "INSERT INTO flush_units (stream, after_lsn, upto_lsn, created_ms, raw_seq)"
        " VALUES (?, ?, ?, ?, ?)",
        {unit.stream, Sql(unit.after), Sql(unit.upto), unit.created_ms, Sql(unit.raw_seq)}));
    id = session.last_insert_id();
    if (id <= std::numeric_limits<uint32_t>::max()) return {};
    return MakeError(ErrorKind::kExhausted, "flush units are numbered with 32 bits; none is left");
  }));
  return static_cast<uint32_t>(id);
}

Status FlushUnits::End(const FlushUnit& unit, const std::vector<SpentBatch>& spent,
                       journal::Lsn released) {
  return database_->Transact([&](Session& session) -> Status {
    TRY(session.Execute("DELETE FROM flush_units WHERE id = ?", {static_cast<int64_t>(unit.id)}));
    CHECK(session.changes() == 1);
    TRY(
        session.Execute("INSERT INTO flush_streams VALUES (?, ?, ?) ON CONFLICT (stream) DO UPDATE "
                        "SET done_lsn = excluded.done_lsn, raw_seq_done = excluded.raw_seq_done",
                        {unit.stream, Sql(unit.upto), Sql(unit.raw_seq)}));
    for (const SpentBatch& batch : spent) {
      TRY(session.Execute("INSERT OR REPLACE INTO ingest_dedup VALUES (?, ?, ?, ?)",
                          {batch.ns, batch.batch_id, Sql(batch.events), batch.expires_ms}));
    }
    return session.Execute("UPDATE flush_released SET lsn = max(lsn, ?)", {Sql(released)});
  });
}

// In pieces: everyone else waits for the state's lock meanwhile.
Status FlushUnits::ExpireBatches(int64_t now_ms) {
  constexpr int64_t kRowsAtOnce = 5'000;
  int64_t removed = kRowsAtOnce;
  while (removed == kRowsAtOnce) {
    TRY(database_->Run([&](Session& session) -> Status {
      TRY(
          session.Execute("DELETE FROM ingest_dedup WHERE (ns, batch_id) IN (SELECT ns, batch_id "
                          "FROM ingest_dedup WHERE expires_ms <= ? LIMIT ?)",
                          {now_ms, kRowsAtOnce}));
      removed = session.changes();
      return {};
    }));
  }
  return {};
}

Result<journal::Lsn> FlushedUpTo(state::Database& database) {
  FlushUnits units = TRY(FlushUnits::Open(database));
  FlushState loaded = TRY(units.Load());
  return loaded.released;
}

}  // namespace varve::ingest
