#include "harness/replay/server/description.hpp"

#include "harness/base/pattern.hpp"
#include "harness/base/suggestion.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/signals.hpp"
#include "harness/os/syscall_error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>

namespace pidleak::replay {
namespace {

using Json = nlohmann::ordered_json;

constexpr int most_seconds = 3600, most_children = 1000;

/// The keys of one object, each with what it sets. What is not among them is an error, and so is a wrong kind of value.
class Keys {
public:
  Keys(std::string file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  void text(const char *key, std::string &into) {
    add(key, [=, &into, this](const Json &value) { into = is_lines(value) ? lines(value) : string(key, value); });
  }
  /// One that grep -E would take.
  void pattern(const char *key, std::string &into) {
    add(key, [=, &into, this](const Json &value) { into = checked_pattern(key, string(key, value)); });
  }
  void words(const char *key, Words &into) {
    add(key, [=, &into, this](const Json &value) { into = strings(key, value); });
  }
  void patterns(const char *key, Words &into) {
    add(key, [=, &into, this](const Json &value) {
      into = strings(key, value);
      for (const auto &text : into)
        checked_pattern(key, text);
    });
  }
  void number(const char *key, int most, const std::function<void(int)> &set) {
    add(key, [=, this](const Json &value) {
      if (!value.is_number_integer() || value < 0 || value > most)
        fail(key, fmt::format("must be a whole number from 0 to {}", most));
      set(value.get<int>());
    });
  }
  void texts(const char *key, std::map<std::string, std::string> &into) {
    add(key, [=, &into, this](const Json &value) {
      if (!value.is_object())
        fail(key, "must be an object");
      for (const auto &[name, text] : value.items())
        into[name] = is_lines(text) ? lines(text) : string(fmt::format("{}.{}", key, name), text);
    });
  }
  void add(const char *key, std::function<void(const Json &)> set) { keys_.emplace_back(key, std::move(set)); }

  void read(const Json &object) const {
    if (!object.is_object())
      throw std::invalid_argument(fmt::format("{}: {} must be an object", file_, path_.empty() ? "the whole" : path_));
    std::vector<std::string> known;
    for (const auto &[key, set] : keys_)
      known.push_back(key);
    for (const auto &[key, value] : object.items()) {
      auto place = std::find(known.begin(), known.end(), key);
      if (place == known.end())
        fail(key, "not known" + suggestion(key, known));
      keys_[static_cast<std::size_t>(place - known.begin())].second(value);
    }
  }

  [[noreturn]] void fail(const std::string &key, const std::string &what) const {
    throw std::invalid_argument(fmt::format("{}: \"{}{}\": {}", file_, path_.empty() ? "" : path_ + ".", key, what));
  }
  std::string string(const std::string &key, const Json &value) const {
    if (!value.is_string())
      fail(key, "must be a text");
    return value.get<std::string>();
  }
  Words strings(const std::string &key, const Json &value) const {
    if (!value.is_array() || value.empty())
      fail(key, "must be a list of words, with at least one");
    Words words;
    for (const auto &word : value)
      words.push_back(string(key, word));
    return words;
  }

private:
  static bool is_lines(const Json &value) {
    return value.is_array() && std::all_of(value.begin(), value.end(), [](const Json &l) { return l.is_string(); });
  }
  static std::string lines(const Json &value) {
    std::string text;
    for (const auto &line : value)
      text += line.get<std::string>() + "\n";
    return text;
  }
  std::string checked_pattern(const std::string &key, std::string text) const {
    try {
      Pattern checked(text);
    } catch (const std::invalid_argument &e) {
      fail(key, fmt::format("no regular expression: {}", e.what()));
    }
    return text;
  }

  std::string file_, path_;
  std::vector<std::pair<std::string, std::function<void(const Json &)>>> keys_;
};

Json parse(const std::string &path) {
  std::string text;
  try {
    text = os::read_file(path);
  } catch (const os::SyscallError &e) {
    throw std::invalid_argument(fmt::format("{}: can't be read: {}", path, e.code().message()));
  }
  try {
    return Json::parse(text, nullptr, true, true /* comments */);
  } catch (const Json::parse_error &e) {
    auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(std::min(e.byte, text.size())), '\n');
    throw std::invalid_argument(fmt::format("{}: line {}: is no JSON", path, line));
  }
}

/// What a description says that is like another one replaces what that one says; null takes it away.
Json parse_with_base(const std::filesystem::path &path, int depth = 0) {
  auto json = parse(path);
  if (!json.is_object() || !json.contains("like"))
    return json;
  if (depth > 4 || !json["like"].is_string())
    throw std::invalid_argument(fmt::format("{}: \"like\": must name another description beside it", path.string()));
  auto base = parse_with_base(path.parent_path() / (json["like"].get<std::string>() + ".json"), depth + 1);
  json.erase("like");
  base.merge_patch(json);
  return base;
}

[[noreturn]] int throw_wrong_children(const Keys &keys) {
  keys.fail("children", fmt::format("must be a whole number from 0 to {}, or \"{{workers}}\"", most_children));
}

void add_ready(Keys &keys, const std::string &path, ServerReady &ready) {
  keys.add("ready", [&ready, path](const Json &value) {
    Keys of_ready(path, "ready");
    of_ready.add("children", [&](const Json &children) {
      ready.children = children == "{workers}"                                      ? ServerReady::as_workers
                       : children.is_number_unsigned() && children <= most_children ? children.get<int>()
                                                                                    : throw_wrong_children(of_ready);
    });
    of_ready.number("port", 65535, [&](int number) { ready.port = number; });
    of_ready.text("file", ready.file);
    of_ready.text("each", ready.each);
    of_ready.pattern("line", ready.line);
    of_ready.text("request", ready.request);
    of_ready.read(value);
  });
}

void add_busy(Keys &keys, const std::string &path, ServerDescription &server) {
  keys.add("busy", [&server, path](const Json &value) {
    static const std::map<std::string, BusyBy> ways = {
        {"gate", BusyBy::gate}, {"always", BusyBy::always}, {"upstream", BusyBy::upstream}, {"itself", BusyBy::itself}};
    Keys of_busy(path, "busy");
    server.busy_by = BusyBy::gate;
    of_busy.text("request", server.busy);
    of_busy.add("by", [&](const Json &by) {
      auto way = ways.find(of_busy.string("by", by));
      if (way == ways.end())
        of_busy.fail("by", "must be gate, always, upstream or itself");
      server.busy_by = way->second;
    });
    of_busy.read(value);
    if (server.busy.empty() && server.busy_by != BusyBy::always)
      of_busy.fail("request", "is missing");
  });
}

void check(const Keys &keys, const ServerDescription &server) {
  if (server.command.empty())
    keys.fail("command", "is missing");
  for (const auto &[name, text] : server.files)
    if (std::filesystem::path path(name); path.is_absolute() || path.lexically_normal().string().starts_with(".."))
      keys.fail("files." + name, "must be a path below {dir}");
  for (const auto &[key, path] :
       {std::pair("busy.request", &server.busy), std::pair("pid", &server.pid), std::pair("allocate", &server.allocate),
        std::pair("ready.request", &server.ready.request)})
    if (server.request.empty() && !path->empty() && !path->starts_with('/'))
      keys.fail(key, "must be a path, such as /slow");
  bool asks = !server.busy.empty() || !server.pid.empty() || !server.ready.request.empty() || !server.allocate.empty();
  if (asks && server.port == 0 && server.request.empty())
    keys.fail("port", "is missing: requests are made, and there is no \"request\" that makes them");
}

} // namespace

ServerDescription read_server_description(const std::string &path) {
  namespace fs = std::filesystem;
  ServerDescription server{.name = fs::path(path).stem(),
                           .directory = fs::absolute(path).lexically_normal().parent_path()};
  Keys keys(path, "");
  keys.text("about", server.about);
  keys.words("packages", server.packages);
  keys.words("programs", server.programs);
  keys.words("version", server.version);
  keys.words("command", server.command);
  keys.text("directory", server.working_directory);
  keys.texts("files", server.files);
  keys.texts("environment", server.environment);
  keys.text("user", server.user);
  keys.add("before", [&](const Json &value) {
    if (!value.is_array())
      keys.fail("before", "must be a list of commands");
    for (const auto &command : value)
      server.before.push_back(keys.strings("before", command));
  });
  keys.words("beside", server.beside);
  keys.number("beside_port", 65535, [&](int number) { server.beside_port = number; });
  add_ready(keys, path, server.ready);
  keys.patterns("helpers", server.helpers);
  keys.words("request", server.request);
  keys.number("port", 65535, [&](int number) { server.port = number; });
  add_busy(keys, path, server);
  keys.text("pid", server.pid);
  keys.text("allocate", server.allocate);
  keys.add("stop", [&](const Json &value) {
    auto signal = os::signal_of(keys.string("stop", value));
    if (!signal)
      keys.fail("stop", "is no signal, such as TERM or QUIT");
    server.stop = *signal;
  });
  keys.number("longest_timer", most_seconds, [&](int number) { server.longest_timer = std::chrono::seconds(number); });
  keys.read(parse_with_base(path));
  check(keys, server);
  return server;
}

std::string ServerDescription::fill(std::string text, const std::map<std::string, std::string> &values) {
  for (const auto &[name, value] : values)
    for (std::size_t at = 0; (at = text.find("{" + name + "}", at)) != text.npos; at += value.size())
      text.replace(at, name.size() + 2, value);
  return text;
}

} // namespace pidleak::replay
