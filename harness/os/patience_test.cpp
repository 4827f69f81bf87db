// A machine that gives no CPU makes a bound longer, and an idle one does not.
#include "harness/os/patience.hpp"
#include "harness/os/test_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <thread>
#include <vector>

using namespace pidleak;
using Catch::Matchers::WithinRel;

TEST_CASE("the pressure on the CPUs is read as the kernel writes it, and what is none is 0", "[patience]") {
  CHECK_THAT(os::parse_cpu_pressure("some avg10=93.70 avg60=91.41 avg300=64.58 total=27818762830\nfull avg10=0.00 x"),
             WithinRel(0.937));
  for (const char *none :
       {"", "some", "some avg10=", "some avg10=nan", "some avg10=-3", "full avg10=50.00", "\n\n", "some x"})
    CHECK(os::parse_cpu_pressure(none) == 0);
  CHECK(os::parse_cpu_pressure("some avg10=1e300") == 1);
}

TEST_CASE("patience ends, and later where others want the CPUs", "[patience]") {
  testing::check_in_child([] {
    std::vector<os::ProcessRef> busy;
    for (unsigned i = 0; i <= std::thread::hardware_concurrency() * 2; ++i)
      busy.push_back(testing::start([] {
        for (auto over = Deadline::after(std::chrono::seconds(30)); !over.passed();) {
        }
      }));
    auto waited = Deadline::after(std::chrono::seconds(20));
    while (os::cpu_pressure() < 0.5 && !waited.passed())
      testing::let_pass(milliseconds(100));
    bool is_told = os::cpu_pressure() >= 0.5; // else the kernel has no PSI
    constexpr milliseconds bound{300};
    auto patience = os::Patience::of(bound);
    testing::let_pass(bound);
    testing::expect(patience.passed() != is_told, "it is not over yet, where the kernel tells of the pressure");
    for (const auto &one : busy)
      one.send(SIGKILL);
    testing::wait_until([&] { return patience.passed(); }, "it ends");
  });
}
