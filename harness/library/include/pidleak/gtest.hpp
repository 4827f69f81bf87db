// For GoogleTest: every test fails that leaves a process behind. In main(), after testing::InitGoogleTest():
//
//   testing::UnitTest::GetInstance()->listeners().Append(new pidleak::GTestListener);
#pragma once

#include <gtest/gtest.h>
#include <pidleak/guard.hpp>

#include <iostream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace pidleak {

/// What remains after a test is a failure of that test, and is ended then: the next one starts from nothing.
class GTestListener : public testing::EmptyTestEventListener {
public:
  /// The name is the test's.
  explicit GTestListener(GuardOptions options = {}) : options_(std::move(options)) {}

  void OnTestStart(const testing::TestInfo &test) override {
    options_.name = std::string(test.test_suite_name()) + "." + test.name();
    try {
      guard_.emplace(options_);
    } catch (const std::system_error &e) {
      fail(test, e);
    }
  }

  void OnTestEnd(const testing::TestInfo &test) override {
    if (!guard_ || !guard_->is_of_this_process())
      return;
    try {
      check(test);
    } catch (const std::system_error &e) { // no descriptors, no memory: of this test, and of no other
      fail(test, e);
    }
    guard_.reset();
  }

private:
  void check(const testing::TestInfo &test) {
    auto findings = guard_->check();
    if (!findings.clean()) {
      ADD_FAILURE_AT(test.file(), test.line()) << findings.text;
      guard_->end_remaining();
    } else if (findings.doubtful()) {
      std::cerr << findings.text;
    }
  }

  static void fail(const testing::TestInfo &test, const std::system_error &error) {
    ADD_FAILURE_AT(test.file(), test.line()) << "pidleak could not look at what remains: " << error.what();
  }

  GuardOptions options_;
  std::optional<Guard> guard_;
};

} // namespace pidleak
