// For Catch2 (3.7 or later): every test case fails that leaves a process behind.
//
//   #include <pidleak/catch2.hpp>
//   CATCH_REGISTER_LISTENER(pidleak::Catch2Listener)
//
// Or within a test case:
//
//   CHECK_THAT(guard.check(), pidleak::NothingRemains());
#pragma once

#include <catch2/catch_test_case_info.hpp>
#include <catch2/internal/catch_assertion_handler.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
#include <pidleak/guard.hpp>

#include <iostream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace pidleak {

/// Each run of a test case (there is one for each of its sections, and for each value of a generator) fails by an
/// assertion of its own if something remains, which is ended then: the next run starts from nothing. Derive from it to
/// have other options. A run that a signal ends is not checked.
class Catch2Listener : public Catch::EventListenerBase {
public:
  using EventListenerBase::EventListenerBase;

  void testCaseStarting(const Catch::TestCaseInfo &test) override {
    test_ = &test;
    failures_ = 0;
  }
  void fatalErrorEncountered(Catch::StringRef) override { crashed_ = true; }

  void sectionStarting(const Catch::SectionInfo &) override {
    if (depth_++ > 0)
      return;
    auto chosen = options();
    chosen.name = test_->name;
    failure_.clear();
    try {
      guard_.emplace(chosen);
    } catch (const std::system_error &e) { // told when the section ends: an assertion can't be made yet
      failure_ = e.what();
    }
  }

  // Of the outermost section, which is the test case: an assertion can't be made any later.
  void sectionEnded(const Catch::SectionStats &stats) override {
    if (--depth_ > 0 || crashed_ || (guard_ && !guard_->is_of_this_process()))
      return;
    try {
      if (guard_)
        check();
    } catch (const std::system_error &e) { // no descriptors, no memory: of this test, and of no other
      failure_ = e.what();
    }
    if (!failure_.empty())
      fail("pidleak could not look at what remains: " + failure_);
    guard_.reset();
    // These counts are from before. The JUnit reporter leaves out a section whose last run had no assertions. The
    // object is not const: Catch2 makes it for this call.
    auto &counts = const_cast<Catch::SectionStats &>(stats).assertions;
    (test_->okToFail() ? counts.failedButOk : counts.failed) += failures_;
  }

protected:
  /// The name is the test case's.
  virtual GuardOptions options() const { return {}; }

private:
  void check() {
    auto findings = guard_->check();
    if (!findings.clean()) {
      fail(std::move(findings.text));
      guard_->end_remaining();
    } else if (findings.doubtful()) {
      std::cerr << findings.text;
    }
  }

  void fail(std::string text) {
    Catch::AssertionHandler assertion("pidleak", test_->lineInfo, Catch::StringRef(),
                                      Catch::ResultDisposition::ContinueOnFailure);
    assertion.handleMessage(Catch::ResultWas::ExplicitFailure, std::move(text));
    assertion.complete();
    ++failures_;
  }

  const Catch::TestCaseInfo *test_ = nullptr;
  std::optional<Guard> guard_;
  std::string failure_; // why there is no guard, or no check
  int depth_ = 0;
  unsigned failures_ = 0; // of this test case's runs
  bool crashed_ = false;
};

/// Matches Findings that are clean.
class NothingRemains : public Catch::Matchers::MatcherBase<Findings> {
public:
  bool match(const Findings &findings) const override { return findings.clean(); }
  std::string describe() const override { return "(nothing may remain)"; }
};

} // namespace pidleak
