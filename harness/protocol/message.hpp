// One message of the subject protocol: a line of JSON. PROTOCOL.md is the reference.
#pragma once

#include "harness/protocol/vocabulary.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace pidleak::protocol {

/// What both sides must agree on. Changes with every incompatible change of the messages.
constexpr int version = 1;

/// A longer line is an error: no message needs more, and a peer must not be able to fill memory.
constexpr std::size_t longest_line = 65536;

/// Objects and arrays within one another, the message included: whatever copies or prints a value recurses.
constexpr int deepest_nesting = 16;

/// The largest `longest_timer` of a hello.
constexpr int longest_timer_s = 3600;

/// A line that is not what the protocol asks for.
class ProtocolError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Of one line. Throws ProtocolError, with a printable excerpt of it.
nlohmann::json parse_object(std::string_view line);

/// A JSON object with the member that names it: `command` towards the subject, `event` from it.
class Message {
public:
  static Message command(std::string_view name, nlohmann::json fields = nlohmann::json::object());
  static Message event(std::string_view name, nlohmann::json fields = nlohmann::json::object());
  /// Throws ProtocolError, with a printable excerpt of the line.
  static Message parse(std::string_view line, std::string_view kind);

  const std::string &name() const { return name_; }
  /// The line, newline included. Bytes that are not UTF-8 become U+FFFD.
  std::string line() const;

  /// Members, checked: each throws ProtocolError naming the message and the member.
  std::string text(const std::string &member) const;
  long long integer(const std::string &member) const;
  bool flag(const std::string &member) const;
  std::vector<std::string> texts(const std::string &member) const;
  std::vector<pid_t> pids(const std::string &member) const;
  pid_t pid(const std::string &member) const;
  /// What a list holds, by the list's name; none where there is no such member.
  std::vector<Message> objects(const std::string &member) const;
  const nlohmann::json &fields() const { return fields_; }
  bool has(const std::string &member) const { return fields_.contains(member); }

  /// A member that is one of E's spellings.
  template <class E>
  E word(const std::string &member) const {
    auto spelling = text(member);
    if (auto value = parse_spelling<E>(spelling))
      return *value;
    refuse_word(member, spelling, spellings<E>());
  }

  /// An excerpt of any bytes that can be shown in an error message.
  static std::string printable(std::string_view bytes, std::size_t at_most = 80);

private:
  [[noreturn]] void refuse_word(const std::string &member, const std::string &text,
                                const std::vector<std::string> &known) const;
  const nlohmann::json &member(const std::string &name) const;
  std::string name_;
  nlohmann::json fields_;
};

/// Cuts a stream of bytes into lines.
class LineBuffer {
public:
  void append(std::string_view bytes) { bytes_ += bytes; }
  /// The next whole line without its newline. Throws ProtocolError when one grows past longest_line.
  std::optional<std::string> next();
  bool empty() const { return taken_ == bytes_.size(); }

private:
  std::string bytes_;
  std::size_t taken_ = 0; // at the start of bytes_: lines that next() has returned
};

} // namespace pidleak::protocol
