// Messages from a peer that may be wrong in any way, and the stream that they come in.
#include "harness/protocol/message.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <fmt/format.h>

namespace {

using namespace pidleak;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::MessageMatches;
using protocol::LineBuffer;
using protocol::Message;
using protocol::ProtocolError;

BOOST_DEFINE_ENUM_CLASS(Colour, red, dark_blue, default_)

auto says(const std::string &text) { return MessageMatches(ContainsSubstring(text)); }

/// An event with one more member, given as JSON.
Message with_value(const std::string &value) {
  return Message::parse(R"({"event": "test", "value": )" + value + "}", "event");
}

/// `levels` arrays within one another, as the member of a message.
std::string nested(int levels) {
  auto size = static_cast<std::size_t>(levels);
  return R"({"event": "deep", "value": )" + std::string(size, '[') + std::string(size, ']') + "}";
}

std::vector<std::string> all_lines(LineBuffer &buffer) {
  std::vector<std::string> lines;
  while (auto line = buffer.next())
    lines.push_back(*line);
  return lines;
}

} // namespace

TEST_CASE("a message is a JSON object whose name is a string under its kind", "[protocol]") {
  auto message =
      Message::parse(R"({"event": "hello", "text": "x", "number": -3, "yes": true, "pids": [1, 77]})", "event");
  CHECK(message.name() == "hello");
  CHECK(message.text("text") == "x");
  CHECK(message.integer("number") == -3);
  CHECK(message.flag("yes"));
  CHECK(message.pids("pids") == std::vector<pid_t>{1, 77});
  CHECK(with_value(R"(["a", ""])").texts("value") == std::vector<std::string>{"a", ""});
  CHECK(message.has("pids"));
  CHECK_FALSE(message.has("pid"));
  CHECK(Message::parse("{\"event\": \"hello\"}\r", "event").name() == "hello"); // a peer that ends lines with CRLF
}

TEST_CASE("a line that is no message is refused, with an excerpt that can be printed", "[protocol]") {
  using Bad = std::pair<std::string, std::string>;
  auto [line, complaint] = GENERATE(values<Bad>({
      {"", "not a JSON object"},
      {"hello", "not a JSON object: hello"},
      {"[]", "not a JSON object"},
      {"null", "not a JSON object"},
      {"\"event\"", "not a JSON object"},
      {"{\"event\": \"x\"", "not a JSON object"},
      {"{\"event\": \"x\"} {}", "not a JSON object"},
      {"{\"event\": 1e999}", "not a JSON object"},
      {"{\"event\": \"\xff\"}", R"(\xff)"},
      {std::string("{\"event\": \"a\0b\"}", 16), R"(\x00)"},
      {std::string("{\"event\": \"x\"}\0{}", 17), R"(\x00)"},
      {"{}", "no \"event\" in: {}"},
      {"{\"command\": \"x\"}", "no \"event\""},
      {"{\"event\": 7}", "no \"event\""},
      {"{\"event\": null}", "no \"event\""},
  }));
  CAPTURE(Message::printable(line));
  CHECK_THROWS_MATCHES(Message::parse(line, "event"), ProtocolError, says(complaint));
}

TEST_CASE("a message is nested so deep and no deeper", "[protocol]") {
  CHECK_NOTHROW(Message::parse(nested(protocol::deepest_nesting - 1), "event")); // the message itself is one
  CHECK_THROWS_MATCHES(Message::parse(nested(protocol::deepest_nesting), "event"), ProtocolError, says("deep"));
  CHECK_THROWS_MATCHES(Message::parse(nested(30000), "event"), ProtocolError, says("deep"));
  CHECK_THROWS_AS(Message::parse(std::string(1 << 20, '['), "event"), ProtocolError);
}

TEST_CASE("a member that is missing or of another type is refused by name", "[protocol]") {
  auto message = with_value(GENERATE("null", "{}", "1.0", "1e3", "18446744073709551616"));
  CHECK_THROWS_MATCHES(message.text("absent"), ProtocolError, says("test: \"absent\" is missing"));
  CHECK_THROWS_MATCHES(message.pids("absent"), ProtocolError, says("test: \"absent\" is missing"));
  CHECK_THROWS_MATCHES(message.text("value"), ProtocolError, says("test: \"value\" is not a string"));
  CHECK_THROWS_MATCHES(message.integer("value"), ProtocolError, says("test: \"value\" is not an integer"));
  CHECK_THROWS_MATCHES(message.flag("value"), ProtocolError, says("test: \"value\" is not true or false"));
  CHECK_THROWS_MATCHES(message.pid("value"), ProtocolError, says("\"value\" is not an integer"));
  CHECK_THROWS_MATCHES(message.pids("value"), ProtocolError, says("\"value\" is not an"));
  CHECK_THROWS_MATCHES(message.texts("value"), ProtocolError, says("\"value\" is not an array of strings"));
  CHECK_THROWS_AS(message.word<Colour>("value"), ProtocolError);
}

TEST_CASE("integers are taken as far as they go", "[protocol]") {
  CHECK(with_value("9223372036854775807").integer("value") == std::numeric_limits<long long>::max());
  CHECK(with_value("-9223372036854775808").integer("value") == std::numeric_limits<long long>::min());
  CHECK_THROWS_MATCHES(with_value("9223372036854775808").integer("value"), ProtocolError, says("too large"));
  CHECK_THROWS_MATCHES(with_value("18446744073709551615").integer("value"), ProtocolError, says("too large"));
  CHECK_THROWS_AS(with_value("-9223372036854775809").integer("value"), ProtocolError);
}

TEST_CASE("a pid is one that the kernel can give", "[protocol]") {
  CHECK(with_value("1").pid("value") == 1);
  CHECK(with_value("4194304").pid("value") == 4194304);
  auto wrong = GENERATE("0", "-1", "-2147483648", "4194305", "4294967297", "9223372036854775807");
  CHECK_THROWS_MATCHES(with_value(wrong).pid("value"), ProtocolError, says("which is no pid"));
  CHECK_THROWS_MATCHES(with_value(fmt::format("[1, {}]", wrong)).pids("value"), ProtocolError, says("which is no pid"));
  CHECK_THROWS_AS(with_value("[1, \"2\"]").pids("value"), ProtocolError);
  CHECK(with_value("[]").pids("value").empty());
}

TEST_CASE("a word is one of an enumeration's spellings", "[protocol]") {
  CHECK(with_value("\"dark-blue\"").word<Colour>("value") == Colour::dark_blue);
  CHECK(with_value("\"default\"").word<Colour>("value") == Colour::default_);
  auto wrong = GENERATE("\"dark_blue\"", "\"Red\"", "\"\"", "\"?\"", "\"red \"");
  CHECK_THROWS_MATCHES(with_value(wrong).word<Colour>("value"), ProtocolError,
                       says("and not one of: red, dark-blue, default"));
  CHECK_THROWS_MATCHES(with_value(R"("\u0007")").word<Colour>("value"), ProtocolError, says(R"(\x07)"));
}

TEST_CASE("a message goes through its line and comes back", "[protocol]") {
  auto sent =
      Message::command("create", {{"path", "a\nb\"\\\xc3\xa9"}, {"count", -1}, {"pids", {3, 4}}, {"on", false}});
  auto line = sent.line();
  REQUIRE(line.find('\n') == line.size() - 1);
  auto received = Message::parse(line.substr(0, line.size() - 1), "command");
  CHECK(received.name() == "create");
  CHECK(received.fields() == sent.fields());
  CHECK(received.line() == line);
  CHECK_THROWS_AS(Message::parse(line, "event"), ProtocolError);
  // A file name may hold any bytes; the line must be JSON all the same.
  CHECK(Message::parse(Message::event("x", {{"path", "a\xff"}}).line(), "event").text("path") == "a\xef\xbf\xbd");
}

TEST_CASE("an excerpt shows any bytes, and so many of them", "[protocol]") {
  CHECK(Message::printable("plain ~") == "plain ~");
  CHECK(Message::printable(std::string("\0\n\x1b\x7f\xc3", 5)) == R"(\x00\x0a\x1b\x7f\xc3)");
  CHECK(Message::printable("abcd", 4) == "abcd");
  CHECK(Message::printable("abcde", 4) == "abcd... (5 bytes)");
  CHECK(Message::printable(std::string(1000, 'x')) == std::string(80, 'x') + "... (1000 bytes)");
  CHECK(Message::printable("") == "");
}

TEST_CASE("lines come out whole, however the stream was cut", "[protocol]") {
  std::string stream = "one\n\ntwo two\r\nthree\nrest";
  auto piece = GENERATE(1U, 2U, 3U, 5U, 100U);
  LineBuffer buffer;
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    buffer.append(std::string_view(stream).substr(at, piece));
    for (auto &line : all_lines(buffer))
      lines.push_back(line);
  }
  CHECK(lines == std::vector<std::string>{"one", "", "two two\r", "three"});
  CHECK_FALSE(buffer.empty());
  buffer.append("\n");
  CHECK(buffer.next() == "rest");
  CHECK(buffer.empty());
  CHECK(buffer.next() == std::nullopt);
}

TEST_CASE("a line may have the longest size, and not a byte more, whether or not it has ended", "[protocol]") {
  auto ending = GENERATE("", "\n", "\nnext\n");
  LineBuffer good, bad;
  good.append("first\n" + std::string(protocol::longest_line, 'x') + ending);
  bad.append("first\n" + std::string(protocol::longest_line + 1, 'x') + ending);
  CHECK(good.next() == "first");
  CHECK_NOTHROW(good.next());
  CHECK(bad.next() == "first"); // what came before it counts
  CHECK_THROWS_MATCHES(bad.next(), ProtocolError, says("more than 65536 bytes: xxx"));
  CHECK_THROWS_AS(bad.next(), ProtocolError);
}

TEST_CASE("many lines that come at once cost no more than the same lines one by one", "[protocol]") {
  // 16 MiB of short lines. Were every line erased from the front, this would move 10^13 bytes.
  constexpr std::size_t count = 1 << 20;
  std::string stream;
  for (std::size_t i = 0; i < count; ++i)
    stream += "fifteen letters\n";
  LineBuffer buffer;
  buffer.append(stream);
  std::size_t taken = 0;
  while (auto line = buffer.next())
    taken += line->size() == 15;
  CHECK(taken == count);
  CHECK(buffer.empty());
}
