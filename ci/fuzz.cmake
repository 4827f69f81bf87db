# libFuzzer's programs, one for each kind of text from outside: ci/fuzz builds them with clang and runs them.
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
