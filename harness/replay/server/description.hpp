// A server under test, as its file describes it: how it is started, known to be ready, made busy and stopped.
//
// The files are JSON, which everything else that pidleak reads and writes is as well, and which nlohmann_json reads;
// comments are allowed. workers/servers/README.md explains the keys.
#pragma once

#include <chrono>
#include <csignal>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pidleak::replay {

using Words = std::vector<std::string>;

/// Known to be ready: everything of this holds.
struct ServerReady {
  int children = 0; // as many processes below the master, at least; as_workers: as many as workers were asked for
  static constexpr int as_workers = -1;
  int port = 0;        // a socket listens there; 0: not asked
  std::string file;    // it is there
  std::string each;    // a file for each worker, with its `{pid}`, is there
  std::string line;    // a line of its output matches, regex(7)
  std::string request; // it is answered
};

/// How a worker is kept busy until the driver lets it go on.
enum class BusyBy {
  nothing,  // it can't be
  gate,     // a request whose worker reads the FIFO `{gate}` to its end
  always,   // its workers read the FIFO from their start: it takes no requests
  upstream, // a request that the server passes on to `{upstream}`, where the driver listens and does not answer
  itself    // a request that takes long by itself: it ends when it ends
};

struct ServerDescription {
  std::string name;      // of its file, without what follows the dot
  std::string directory; // of its file: `{app}`
  std::string about;     // for people
  Words packages;        // Debian's, that have it
  Words programs;        // paths that must be there, or it is not installed
  Words version;         // a command that tells it
  Words command;
  std::string working_directory;            // empty: the directory of this replay, `{dir}`
  std::map<std::string, std::string> files; // in `{dir}`, by name
  std::map<std::string, std::string> environment;
  std::string user;          // that root becomes; empty: the harness's
  std::vector<Words> before; // commands that run to their end first
  Words beside;              // a program that runs all the time and is no part of the server
  int beside_port = 0;       // which is up once it listens there
  ServerReady ready;
  Words helpers; // patterns, regex(7), of command lines: processes that are no workers
  Words request; // a command that asks for `{path}` and prints the answer; empty: HTTP on the port
  int port = 0;  // where it is asked; 0: it can't be
  BusyBy busy_by = BusyBy::nothing;
  std::string busy;     // the path that is asked for
  std::string allocate; // as `busy`, and then its worker touches more memory than an OOM trap has; empty: it can't
  std::string pid;      // a path that is answered, best of all with the worker's pid; empty: there is none
  int stop = SIGTERM;   // asks it to stop gracefully
  std::optional<std::chrono::milliseconds> longest_timer = {}; // nothing: not known, and the grace will do
  bool own_network = true;

  /// `text` with the names in braces replaced. What is not known stays as it is: CSS and JSON have braces too.
  static std::string fill(std::string text, const std::map<std::string, std::string> &values);
};

/// Reads the description in that file. Throws std::invalid_argument that names the file and the key.
ServerDescription read_server_description(const std::string &path);

} // namespace pidleak::replay
