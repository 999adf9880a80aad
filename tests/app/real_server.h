// A server over a real data directory, in this process: journal, flusher, engine, HTTP.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "app/lake.h"
#include "app/temp_dir.h"
#include "core/clock.h"
#include "ingest/event_ingest.h"
#include "server/http_server.h"

namespace varve::app {

class RealServer {
 public:
  explicit RealServer(Config config = {}) {
    config.data_dir = dir_.path() + "/data";
    config.server.port = 0;
    config.journal.segment_bytes = 4 << 20;
    DataDirPaths paths(config.data_dir);
    EXPECT_TRUE(MakeDataDir(paths).ok());
    Result<std::unique_ptr<Lake>> lake = OpenLake(config, paths, LakeUse::kServe);
    EXPECT_TRUE(lake.ok()) << lake.error().message;
    lake_ = std::move(lake).value();
    ingest_ =
        std::make_unique<ingest::EventIngest>(config.ingest, *lake_->journal, *lake_->flusher,
                                              OpenSpentEvents(config, paths, *lake_).value(),
                                              *lake_->database, SystemClock(), [](journal::Lsn) {});
    lake_->flusher->Start();
    server::Services services;
    services.clock = &SystemClock();
    services.random = &SystemRandom();
    services.ingest = ingest_.get();
    services.engine = lake_->engine.get();
    services.queue = lake_->queue.get();
    services.store = lake_->store.get();
    Result<std::unique_ptr<server::HttpServer>> server =
        server::HttpServer::Start(config.server, services);
    EXPECT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(server).value();
  }
  ~RealServer() {
    server_.reset();
    lake_->journal->Close();
    lake_->engine.reset();
    lake_->snapshots.reset();
    lake_->flusher.reset();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }
  Lake& lake() { return *lake_; }

 private:
  TempDir dir_;
  std::unique_ptr<Lake> lake_;
  std::unique_ptr<ingest::EventIngest> ingest_;
  std::unique_ptr<server::HttpServer> server_;
};

}  // namespace varve::app
