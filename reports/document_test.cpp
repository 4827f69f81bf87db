// Documents that are read back, and those that are none.
#include "reports/document.hpp"
#include "reports/sample_verdicts.hpp"

#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace pidleak;
using namespace pidleak::reports;
using namespace pidleak::testing;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::MessageMatches;

TEST_CASE("a document is read back as it was written", "[report]") {
  const std::vector<Report> reports = {clean(), leaked(), full_report()};
  CHECK(to_document(from_document(to_document(reports))) == to_document(reports));
  CHECK(from_document(to_document({})).empty());
}

TEST_CASE("what is no document is refused, and said why", "[report]") {
  auto refused = [](const std::string &text, const std::string &why) {
    INFO(text);
    CHECK_THROWS_MATCHES(from_document(text), std::invalid_argument, MessageMatches(ContainsSubstring(why)));
  };
  refused("", "not JSON");
  refused("{\"schema_version\": 2,", "not JSON from byte 22 on");
  refused(std::string(100000, '['), "not JSON");
  refused("{\"schema_version\": 1e400}", "a number that is too large");
  refused("[]", "\"schema_version\" is missing");
  refused("{\"schema_version\": \"2\"}", "\"schema_version\" is missing");
  refused("{\"schema_version\": 6, \"reports\": []}", "\"schema_version\" is 6, this program reads 1 to 5");
  refused("{\"schema_version\": 0, \"reports\": []}", "is 0");
  refused("{\"schema_version\": 2, \"comparison\": []}", "no list \"reports\"");
  refused("{\"schema_version\": 2, \"reports\": [3]}", "number 1 of its reports");
  auto document = nlohmann::ordered_json::parse(to_document({clean(), leaked()}));
  document["reports"][1].erase("verdict");
  refused(document.dump(), "number 2 of its reports: report: \"verdict\" is missing");
}

TEST_CASE("a document with every verdict and hostile names, for reports/check_renderings.py", "[report]") {
  auto strange = full_report();
  auto name = "<a b=\"c\">&]]>|`" + hostile + "\xef\xbf\xbe";
  strange.scenario = strange.pool = strange.reason = strange.remaining[0].comm = strange.subject_stderr = name;
  strange.growth->groups[0].comm = strange.growth->groups[0].starter_comm = name;
  strange.conditions[name] = strange.evidence[0].text = strange.timeline[0].event = strange.timeline[0].detail = name;
  check_golden("every-verdict.json", to_document({clean(), leaked(), leaked(), hung(), grown(), invalid(), broken(),
                                                  strange, skipped("incident", "cpython37")}));
}
