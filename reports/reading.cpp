#include "reports/reading.hpp"

#include "harness/base/json.hpp"
#include "reports/json_members.hpp"

#include <istream>

namespace pidleak::reports {
namespace {

/// The outermost level of the document. What is within its members the library reads.
class Reading {
public:
  Reading(Source &source, const DocumentReader &reader) : source_(source), reader_(reader), stream_(&source) {}

  ReportsPlace all() {
    if (next() != '{')
      throw_what_it_is();
    source_.sbumpc();
    if (next() == '}')
      source_.sbumpc();
    else
      members();
    if (has_stopped_)
      return place_;
    if (next() != Source::traits_type::eof())
      not_json();
    if (!has_version_)
      throw std::invalid_argument("not a leak report: \"schema_version\" is missing");
    if (place_.from == 0)
      throw std::invalid_argument("not a leak report: it has no list \"reports\"");
    return place_;
  }

private:
  static bool is_of_number(int c) {
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
  }

  [[noreturn]] static void not_json(std::size_t byte) {
    throw std::invalid_argument(fmt::format("not JSON from byte {} on", byte));
  }
  [[noreturn]] void not_json() const { not_json(source_.place() + 1); }

  /// Past white space, and not taken.
  int next() {
    for (;;) {
      int c = source_.sgetc();
      if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
        return c;
      source_.sbumpc();
    }
  }

  void expect(char c) {
    if (next() != c)
      not_json();
    source_.sbumpc();
  }

  Json value() {
    auto from = (next(), source_.place());
    try {
      if (!is_of_number(source_.sgetc())) {
        Json json;
        stream_ >> json;
        return json;
      }
      std::string number; // the library would take the character after it as well
      for (; is_of_number(source_.sgetc()); source_.sbumpc())
        number += static_cast<char>(source_.sgetc());
      return Json::parse(number);
    } catch (const Json::parse_error &e) {
      not_json(from + e.byte);
    } catch (const Json::out_of_range &) {
      throw std::invalid_argument("it has a number that is too large");
    }
  }

  /// It is no object.
  [[noreturn]] void throw_what_it_is() {
    value();
    throw std::invalid_argument("not a leak report: \"schema_version\" is missing");
  }

  void members() {
    do {
      if (next() != '"')
        not_json();
      auto name = value().get<std::string>();
      expect(':');
      if (name == "reports")
        list();
      else
        member(name);
      if (has_stopped_)
        return;
    } while (goes_on('}'));
  }

  /// After a value: takes a comma, or the end.
  bool goes_on(char end) {
    int c = next();
    if (c != ',' && c != end)
      not_json();
    source_.sbumpc();
    return c == ',';
  }

  void member(const std::string &name) {
    auto read = value();
    if (name == "schema_version") {
      if (!read.is_number_integer())
        throw std::invalid_argument("not a leak report: \"schema_version\" is missing");
      if (read < 1 || read > schema_version)
        throw std::invalid_argument(
            fmt::format("\"schema_version\" is {}, this program reads 1 to {}", text_of(read), schema_version));
      has_version_ = true;
    }
    if (reader_.on_member)
      reader_.on_member(name, read);
  }

  void list() {
    if (next() != '[' || place_.from != 0)
      throw std::invalid_argument("not a leak report: it has no list \"reports\"");
    source_.sbumpc();
    place_.from = source_.place();
    if (reader_.on_reports && !reader_.on_reports()) {
      has_stopped_ = true;
      return;
    }
    place_.to = place_.from;
    if (next() == ']') {
      source_.sbumpc();
    } else {
      std::size_t number = 0;
      do {
        ++number;
        auto report = value();
        place_.to = source_.place();
        try {
          if (reader_.on_report)
            reader_.on_report(report);
        } catch (const std::invalid_argument &e) {
          throw std::invalid_argument(fmt::format("number {} of its reports: {}", number, e.what()));
        }
      } while (goes_on(']'));
    }
  }

  Source &source_;
  const DocumentReader &reader_;
  std::istream stream_;
  ReportsPlace place_;
  bool has_version_ = false, has_stopped_ = false;
};

} // namespace

Source::int_type Source::underflow() {
  if (place() == content_.size())
    return traits_type::eof();
  before_ = place();
  auto piece = content_.piece_at(before_);
  auto *begin = const_cast<char *>(piece.data()); // it is read alone
  setg(begin, begin, begin + piece.size());
  return traits_type::to_int_type(*begin);
}

ReportsPlace read_document(Source &source, const DocumentReader &reader) { return Reading(source, reader).all(); }

} // namespace pidleak::reports
