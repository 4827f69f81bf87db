# libFuzzer's programs, one for each kind of text from outside, and the test that runs them for a moment: see ci/fuzz.
if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  foreach(read pidleak_base pidleak_census pidleak_protocol pidleak_reports)
    # libFuzzer sees which of their branches are taken: as -fsanitize=fuzzer-no-link, which precompiled headers refuse.
    target_compile_options(${read} PRIVATE -fsanitize-coverage=inline-8bit-counters,pc-table,trace-cmp,indirect-calls)
  endforeach()
  add_custom_target(fuzzers)
  function(pidleak_fuzzer name source)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE ${ARGN} -fsanitize=fuzzer)
    add_dependencies(fuzzers ${name})
  endfunction()

  pidleak_fuzzer(proc-text harness/census/proc_text_fuzz.cpp pidleak_census)
  pidleak_fuzzer(protocol harness/protocol/message_fuzz.cpp pidleak_protocol)
  pidleak_fuzzer(document reports/document_fuzz.cpp pidleak_reports)
  pidleak_fuzzer(suppressions reports/suppressions_fuzz.cpp pidleak_reports)
endif()
if(PIDLEAK_TESTS)
  add_test(NAME fuzz COMMAND ${PROJECT_SOURCE_DIR}/ci/fuzz 20 ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  # Alone: libFuzzer sets alarms, and beside an alarm no process is ever called stuck. It has work for every core.
  set_tests_properties(fuzz PROPERTIES LABELS layers TIMEOUT 1200 RUN_SERIAL TRUE SKIP_RETURN_CODE 4
    ENVIRONMENT FUZZ_SEED=1)
endif()
