#include "harness/os/test_support.hpp"
#include "reports/journal.hpp"
#include "reports/sample_sweep.hpp"
#include "reports/temporary_directory.hpp"

#include <catch2/catch_test_macros.hpp>

namespace pidleak::reports {
namespace {

using namespace testing;

std::string no_line(const Sweep &, const SweepClass &) { return "pidleak run ..."; }

TEST_CASE("points that come to the same are one class, and what was not reached is counted so", "[report]") {
  auto sweep = swept();
  auto classes = sweep.classes();
  REQUIRE(classes.size() == 1);
  CHECK(classes[0]->role == "worker");
  CHECK(classes[0]->points == std::map<std::size_t, int>{{1, 2}});
  auto coverage = sweep.coverage();
  CHECK(coverage.recorded == 3);
  CHECK(coverage.reached == 2);
  CHECK(coverage.unreached == 1);
  CHECK(exit_status({sweep}) == 1);
}

TEST_CASE("what a sweep found has its status: a defect, too little reached, nothing to be swept", "[report]") {
  auto recording = swept().recording();
  std::vector<SweptPoint> planned = {
      {.point = "worker:do-tasks:read#1:entry", .fault = "kill", .call = "", .reason = ""}};
  Sweep nothing_tried(recording, planned), reached(recording, planned), missed(recording, planned);
  reached.add(with_fault_at(clean(), "worker:do-tasks:read#1:entry"));
  missed.add(with_fault_at(clean(), "worker:do-tasks:read#1:entry", false));
  CHECK(exit_status({nothing_tried}) == 3);
  CHECK(exit_status({reached}) == 0);
  CHECK(exit_status({missed}) == 3);
  for (auto [verdict, status] :
       {std::pair(Verdict::skipped, 4), std::pair(Verdict::broken, 5), std::pair(Verdict::hung, 1)}) {
    recording.verdict = verdict;
    CHECK(exit_status({Sweep(recording, {})}) == status);
  }
}

TEST_CASE("a sweep on a terminal and as Markdown", "[report]") {
  check_golden("sweep.txt", render_sweeps({swept()}, no_line));
  check_golden("sweep.md", render_sweeps_as_markdown({swept()}, no_line));
}

TEST_CASE("a journal is a whole document after each report, and gone on with after any cut", "[report]") {
  TemporaryDirectory directory;
  auto path = directory / "sweep.json";
  auto text = [&] { return os::read_file(path); };
  Journal journal(path);
  CHECK(from_document(text()).empty());
  journal.add(clean());
  auto after_one = text().size();
  journal.add(leaked());
  CHECK(from_document(text()).size() == 2);
  journal.finish({swept()});
  auto whole = text();
  CHECK(from_document(whole).size() == 2);
  CHECK(whole.find("\"sweeps\"") != whole.npos);
  CHECK(see_what_is_whole(whole).reports.size() == 2);
  for (std::size_t size = document_head().size(); size < whole.size(); size += 97) {
    INFO("cut after " << size << " bytes");
    auto seen = see_what_is_whole(whole.substr(0, size));
    CHECK(seen.size <= size);
    CHECK(seen.reports.size() >= (size >= after_one ? 1U : 0U));
    reports::write_atomically(path, whole.substr(0, size));
    Journal further(path, seen.size, seen.reports.empty());
    CHECK(from_document(text()).size() == seen.reports.size());
    further.add(hung());
    CHECK(from_document(text()).size() == seen.reports.size() + 1);
  }
  CHECK_THROWS_AS(see_what_is_whole("{}"), std::invalid_argument);
}

} // namespace
TEST_CASE("of a command, strace is told to do the same", "[report]") {
  const std::string command = "/bin/sh -c 'sleep 9 &'", point = "command:run:dup2#3:entry";
  auto of_command = [&](Report report) {
    report.pool = command;
    report.workers = 0;
    return report;
  };
  auto recording = of_command(clean("cpython36"));
  recording.recording = {
      {.actor = "command", .birth = {}, .points = {{.point = point, .about = "a pipe", .holding = ""}}}};
  Sweep sweep(recording, {{.point = point, .fault = "kill", .call = "", .reason = ""}});
  sweep.add(of_command(with_fault_at(leaked(), point)));
  auto text = render_sweeps({sweep}, [](const auto &, const auto &) { return std::string(); });
  CHECK(text.find("strace -o /dev/null -e inject=dup2:signal=KILL:when=3 " + command + "\n") != text.npos);
}

} // namespace pidleak::reports
