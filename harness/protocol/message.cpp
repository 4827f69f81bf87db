#include "harness/protocol/message.hpp"

#include "harness/base/json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace pidleak::protocol {
namespace {

Message with(std::string_view kind, std::string_view name, nlohmann::json fields) {
  fields[std::string(kind)] = name;
  return Message::parse(text_of(fields), kind);
}

} // namespace

Message Message::command(std::string_view name, nlohmann::json fields) {
  return with("command", name, std::move(fields));
}
Message Message::event(std::string_view name, nlohmann::json fields) { return with("event", name, std::move(fields)); }

nlohmann::json parse_object(std::string_view line) {
  // To the JSON parser a NUL is the end of its input: it would pass over whatever follows.
  if (line.find('\0') != line.npos)
    throw ProtocolError(fmt::format("a NUL byte in: {}", Message::printable(line)));
  using Event = nlohmann::json::parse_event_t;
  auto check_depth = [&](int depth, Event event, nlohmann::json &) {
    if (depth >= deepest_nesting && (event == Event::object_start || event == Event::array_start))
      throw ProtocolError(fmt::format("nested more than {} deep: {}", deepest_nesting, Message::printable(line)));
    return true;
  };
  auto object = nlohmann::json::parse(line, check_depth, false);
  if (!object.is_object())
    throw ProtocolError(fmt::format("not a JSON object: {}", Message::printable(line)));
  return object;
}

Message Message::parse(std::string_view line, std::string_view kind) {
  Message message;
  message.fields_ = parse_object(line);
  auto name = message.fields_.find(std::string(kind));
  if (name == message.fields_.end() || !name->is_string())
    throw ProtocolError(fmt::format("no \"{}\" in: {}", kind, printable(line)));
  message.name_ = name->get<std::string>();
  return message;
}

std::string Message::line() const { return text_of(fields_) + "\n"; }

void Message::refuse_word(const std::string &member, const std::string &text,
                          const std::vector<std::string> &known) const {
  throw ProtocolError(fmt::format("{}: \"{}\" is \"{}\", and not one of: {}", printable(name_), member, printable(text),
                                  fmt::join(known, ", ")));
}

std::vector<Message> Message::objects(const std::string &member) const {
  std::vector<Message> all;
  if (!has(member))
    return all;
  for (const auto &entry : fields_[member]) {
    if (!entry.is_object())
      throw ProtocolError(fmt::format("{}: one is not an object", member));
    all.emplace_back();
    all.back().name_ = member;
    all.back().fields_ = entry;
  }
  return all;
}

const nlohmann::json &Message::member(const std::string &name) const {
  auto found = fields_.find(name);
  if (found == fields_.end())
    throw ProtocolError(fmt::format("{}: \"{}\" is missing", printable(name_), name));
  return *found;
}

std::string Message::text(const std::string &name) const {
  const auto &value = member(name);
  if (!value.is_string())
    throw ProtocolError(fmt::format("{}: \"{}\" is not a string", printable(name_), name));
  return value.get<std::string>();
}

long long Message::integer(const std::string &name) const {
  const auto &value = member(name);
  if (!value.is_number_integer())
    throw ProtocolError(fmt::format("{}: \"{}\" is not an integer", printable(name_), name));
  if (value.is_number_unsigned() && !std::in_range<long long>(value.get<unsigned long long>()))
    throw ProtocolError(
        fmt::format("{}: \"{}\" is {}, which is too large", printable(name_), name, value.get<unsigned long long>()));
  return value.get<long long>();
}

bool Message::flag(const std::string &name) const {
  const auto &value = member(name);
  if (!value.is_boolean())
    throw ProtocolError(fmt::format("{}: \"{}\" is not true or false", printable(name_), name));
  return value.get<bool>();
}

std::vector<std::string> Message::texts(const std::string &name) const {
  const auto &value = member(name);
  auto is_text = [](const nlohmann::json &entry) { return entry.is_string(); };
  if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_text))
    throw ProtocolError(fmt::format("{}: \"{}\" is not an array of strings", printable(name_), name));
  return value.get<std::vector<std::string>>();
}

pid_t Message::pid(const std::string &name) const {
  auto value = integer(name);
  if (value < 1 || value > 4194304) // PID_MAX_LIMIT
    throw ProtocolError(fmt::format("{}: \"{}\" is {}, which is no pid", printable(name_), name, value));
  return static_cast<pid_t>(value);
}

std::vector<pid_t> Message::pids(const std::string &name) const {
  const auto &value = member(name);
  if (!value.is_array())
    throw ProtocolError(fmt::format("{}: \"{}\" is not an array", printable(name_), name));
  std::vector<pid_t> pids;
  for (const auto &entry : value)
    pids.push_back(with("event", name_, {{name, entry}}).pid(name));
  return pids;
}

std::string Message::printable(std::string_view bytes, std::size_t at_most) {
  std::string shown;
  for (unsigned char byte : bytes.substr(0, at_most))
    shown += byte >= 0x20 && byte < 0x7f ? std::string(1, static_cast<char>(byte)) : fmt::format("\\x{:02x}", byte);
  if (bytes.size() > at_most)
    shown += fmt::format("... ({} bytes)", bytes.size());
  return shown;
}

std::optional<std::string> LineBuffer::next() {
  auto end = bytes_.find('\n', taken_);
  auto size = std::min(end, bytes_.size()) - taken_;
  if (size > longest_line)
    throw ProtocolError(fmt::format("a line of more than {} bytes: {}", longest_line,
                                    Message::printable(std::string_view(bytes_).substr(taken_))));
  if (end == bytes_.npos) {
    bytes_.erase(0, taken_); // once for all the lines before, not once a line
    taken_ = 0;
    return {};
  }
  auto line = bytes_.substr(taken_, size);
  taken_ = end + 1;
  return line;
}

} // namespace pidleak::protocol
