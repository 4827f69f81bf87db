// pidleak report, and what pidleak run writes besides its report.
#include "harness/cli/cli_test_support.hpp"
#include "harness/os/pipe.hpp"
#include "reports/temporary_directory.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

using namespace pidleak;
using namespace pidleak::testing;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

namespace {

const std::string every_verdict = PIDLEAK_SOURCE_DIR "/reports/goldens/every-verdict.json";

Ran in_shell(const std::string &command) {
  return run({"-c", "pidleak() { " PIDLEAK_BINARY_DIR "/pidleak \"$@\"; }; " + command}, "/bin/bash");
}

/// The document with its reports that have one of these verdicts.
std::string write_some(const TemporaryDirectory &directory, const std::string &name,
                       const std::vector<std::string> &verdicts) {
  auto document = nlohmann::ordered_json::parse(os::read_file(every_verdict));
  auto chosen = nlohmann::ordered_json::array();
  for (const auto &report : document["reports"])
    for (const auto &verdict : verdicts)
      if (report["verdict"] == verdict && report["pool"]["name"].get<std::string>().find('<') == std::string::npos)
        chosen.push_back(report);
  document["reports"] = chosen;
  std::ofstream(directory / name) << document.dump();
  return directory / name;
}

} // namespace

TEST_CASE("report shows what run shows, with status 0 whatever the verdicts are", "[cli]") {
  auto ran = run({"report", every_verdict});
  CHECK(ran.status == 0);
  CHECK(ran.err == "");
  CHECK_THAT(ran.out, ContainsSubstring("incident on cpython36 with fork: leaked in 2 of 2 replays"));
  CHECK_THAT(ran.out, ContainsSubstring("SCENARIO"));
  CHECK(in_shell("pidleak report - < " + every_verdict).out == ran.out);
  TemporaryDirectory directory;
  CHECK(run({"report", every_verdict, "--status"}).status == 5);
  CHECK(run({"report", write_some(directory, "a", {"clean", "leaked"}), "--status"}).status == 1);
  CHECK(run({"report", write_some(directory, "b", {"clean"}), "--status"}).status == 0);
}

TEST_CASE("report writes each rendering to its file, and annotations to standard output", "[cli]") {
  TemporaryDirectory directory;
  auto ran = run({"report", every_verdict, "--junit", directory / "j", "--trace", directory / "t", "--markdown",
                  directory / "m", "--github"});
  CHECK(ran.status == 0);
  CHECK_THAT(ran.out, StartsWith("::error title="));
  CHECK_THAT(os::read_file(directory / "j"), StartsWith("<?xml"));
  CHECK_THAT(os::read_file(directory / "t"), StartsWith("{\"displayTimeUnit\""));
  CHECK_THAT(os::read_file(directory / "m"), StartsWith("## pidleak"));
  CHECK(directory.names().size() == 3);
}

TEST_CASE("what can't be read, or is no leak report, is told with status 2, and nothing is written", "[cli][once]") {
  TemporaryDirectory directory;
  auto junit = directory / "junit.xml";
  auto refused = [&](const std::string &file, const std::string &says) {
    check_usage({"report", file, "--junit", junit}, says);
    CHECK_FALSE(std::filesystem::exists(junit));
  };
  auto with_text = [&](const std::string &text) {
    std::ofstream(directory / "file") << text;
    return directory / "file";
  };
  refused("/nonexistent", "/nonexistent: can't be read: No such file or directory");
  refused(directory.path(), "Is a directory");
  refused(with_text("<xml/>"), "file: not JSON");
  refused(with_text(R"({"schema_version": 99, "reports": []})"), "this program reads 1 to");
  refused(with_text(R"({"schema_version": 2, "reports": [{"schema_version": 2}]})"), "number 1 of its reports");
  refused("/dev/zero", "/dev/zero: is larger than 256 MiB");
  check_usage({"report"}, "FILE is missing");
  check_usage({"report", "-", "-"}, "can be read once only");
  check_usage({"report", every_verdict, "--junit", "/tmp/one", "--html", "/tmp/one"},
              "--html and --junit name the same file");
  check_usage({"report", every_verdict, "--junit", "/nonexistent/a"}, "--junit /nonexistent/a: can't be written");
}

TEST_CASE("report diff has status 1 where something got worse, and 0 on the way back", "[cli]") {
  TemporaryDirectory directory;
  auto clean = write_some(directory, "clean", {"clean"}), both = write_some(directory, "both", {"clean", "leaked"});
  auto worse = run({"report", "diff", clean, both}), better = run({"report", "diff", both, clean});
  CHECK(worse.status == 1);
  CHECK_THAT(worse.out, ContainsSubstring("something got worse"));
  CHECK_THAT(worse.out, ContainsSubstring("+ pidleak-subject: sigterm-caught"));
  CHECK(better.status == 0);
  CHECK_THAT(better.out, ContainsSubstring("removed"));
  auto json = run({"report", "diff", clean, both, "--json"});
  CHECK(json.status == 1);
  CHECK(nlohmann::json::parse(json.out)["got_worse"] == true);
  CHECK(in_shell("pidleak report diff - " + clean + " < " + clean).status == 0);
  check_usage({"report", "diff", clean}, "AFTER");
  check_usage({"report", "diff", "-", "-"}, "can be read once only");
}

TEST_CASE("report merge makes one document of several", "[cli]") {
  TemporaryDirectory directory;
  auto a = write_some(directory, "a", {"clean"}), b = write_some(directory, "b", {"leaked", "hung"});
  CHECK(run({"report", "merge", a, b, "-o", directory / "all"}).status == 0);
  auto merged = nlohmann::json::parse(os::read_file(directory / "all"));
  CHECK(merged["reports"].size() == 5);
  CHECK(merged["reports"][0]["verdict"] == "clean");
  auto twice = run({"report", "merge", a, a, "-o", "-"});
  CHECK(nlohmann::json::parse(twice.out)["reports"].size() == 2);
  check_usage({"report", "merge", a}, "--output");
  check_usage({"report", "merge", a, "-o", "/nonexistent/a"}, "--output /nonexistent/a: can't be written");
}

TEST_CASE("run writes the renderings, and an expected leak has passed in them", "[cli]") {
  TemporaryDirectory directory;
  auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"run",     "incident",      "--oom=sigkill", "--pool",       "cpython36",
                                          "--junit", directory / "j", "--markdown",    directory / "m"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  auto plain = with({"--github", "--trace", directory / "t"});
  CHECK(plain.status == 1);
  CHECK_THAT(plain.out, ContainsSubstring("\n::error title=pidleak%3A leaked%3A incident on cpython36 with fork::"));
  CHECK_THAT(os::read_file(directory / "j"), ContainsSubstring("<failure type=\"leaked\""));
  auto expected = with({"--github", "--expected"});
  CHECK(expected.status == 0);
  CHECK_THAT(expected.out, !ContainsSubstring("::error"));
  CHECK_THAT(os::read_file(directory / "j"), ContainsSubstring("failures=\"0\""));
  CHECK_THAT(os::read_file(directory / "j"), ContainsSubstring("<system-out>"));
  auto json = with({"--github", "--json"}); // standard output stays JSON
  CHECK(nlohmann::json::parse(json.out)["reports"].size() == 1);
  CHECK_THAT(json.err, StartsWith("::error"));
  CHECK(with({"--trace", "/nonexistent/t"}).status == 2);
}

TEST_CASE("run takes suppressions, in its report as well, and strictly if wanted", "[cli]") {
  TemporaryDirectory directory;
  auto with = [&](const std::string &rules, std::vector<std::string> more) {
    std::ofstream(directory / "rules") << "{\"suppressions\": [" + rules + "]} // known";
    std::vector<std::string> arguments = {"run",       "incident",       "--oom=sigkill",    "--pool",
                                          "cpython36", "--suppressions", directory / "rules"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  const std::string all = R"({"comm": "pidleak-*", "reason": "being worked on"})",
                    unused = R"({"comm": "other", "reason": "b"})",
                    expired = R"({"comm": "*", "reason": "c", "expires": "2020-02-29"})";
  auto clean = with(all, {"--report", directory / "r", "--strict-suppressions"});
  CHECK(clean.status == 0);
  CHECK(clean.err == "");
  CHECK_THAT(clean.out, ContainsSubstring("3 processes remain, all suppressed"));
  CHECK_THAT(clean.out, ContainsSubstring("suppressed: being worked on"));
  CHECK(nlohmann::json::parse(os::read_file(directory / "r"))["reports"][0]["verdict"] == "clean");

  CHECK(with(unused, {}).status == 1); // leaked
  CHECK(with(expired, {}).status == 1);
  auto lenient = with(all + "," + unused, {});
  CHECK(lenient.status == 0);
  CHECK_THAT(lenient.err, ContainsSubstring("rules: rule 2 (comm=other) was not used"));
  CHECK(with(all + "," + unused, {"--strict-suppressions"}).status == 1);
  auto strict = with(all + "," + expired, {"--strict-suppressions"});
  CHECK(strict.status == 1);
  CHECK_THAT(strict.err, ContainsSubstring("rule 2 (comm=*) has expired on 2020-02-29"));

  auto wrong = with(R"({"com": "a", "reason": "b"})", {});
  CHECK(wrong.status == 2);
  CHECK_THAT(wrong.err, ContainsSubstring("rules: rule 1: \"com\" is not known; did you mean \"comm\"?"));
  check_usage({"run", "incident", "--suppressions", "/nonexistent"}, "/nonexistent: can't be read");
  check_usage({"run", "incident", "--strict-suppressions"}, "--suppressions FILE");
}
