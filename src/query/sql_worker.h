// The program of a SQL worker: one statement after the other, of one namespace, for the server at
// the other end of its socket.
#pragma once

namespace varve::query {

// The process's whole life: returns its exit code when the server has closed the socket.
int RunSqlWorker();

}  // namespace varve::query
