# The tests. One program a folder; every Catch2 case is a ctest case of its own, in a process of its own.
enable_testing()
find_package(Catch2 3.7.1 REQUIRED) # 3.7.1 is the first that exits with 4 for skipped cases
include(Catch)

# python3 may be a wrapper that takes longer than many a test: the program behind it comes first.
find_program(python3 python3)
if(python3)
  execute_process(COMMAND ${python3} -c "import os, sys; print(os.path.dirname(sys.executable))"
    OUTPUT_VARIABLE python3_directory OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(test_environment ENVIRONMENT_MODIFICATION "PATH=path_list_prepend:${python3_directory}")
endif()

# Short stacks of allocations, and leaks of memory where a case is one process: else most of the time is their account.
if(PIDLEAK_SANITIZE)
  set(one_process ENVIRONMENT "ASAN_OPTIONS=malloc_context_size=3")
  set(many_processes ENVIRONMENT "ASAN_OPTIONS=malloc_context_size=3:detect_leaks=0" "PIDLEAK_REPETITIONS=1")
endif()

# pidleak_tests(NAME SOURCES... USES LIBRARIES... [TIMEOUT SECONDS] [LABELS ...] [APART TAG] [MANY_PROCESSES])
# APART: a tag, whose cases have a label of their own, LABEL-TAG. Cases tagged [once] are not repeated under the
# sanitizers: they start very many processes, and what these run is run by other cases as well.
function(pidleak_tests name)
  cmake_parse_arguments(arg "MANY_PROCESSES" "TIMEOUT;APART" "USES;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300) # for what hangs: four at a time under the sanitizers some take more than a minute
  endif()
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE pidleak_base ${arg_USES} Catch2::Catch2WithMain)
  if(name STREQUAL os_tests AND CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    target_precompile_headers(os_tests PRIVATE $<TARGET_PROPERTY:pidleak_base,PRECOMPILE_HEADERS>
      <catch2/catch_test_macros.hpp> <catch2/matchers/catch_matchers_string.hpp>)
  else()
    pidleak_parse_once(${name} os_tests) # which is the first
  endif()
  target_compile_options(${name} PRIVATE -O0) # what is tested is optimised; the tests take most of the build
  target_compile_definitions(${name} PRIVATE PIDLEAK_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    PIDLEAK_BINARY_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  # Programs that a replay starts must be there before a test is run.
  add_dependencies(${name} pidleak pidleak-subject pidleak-worker)
  set(environment ${test_environment} ${one_process})
  if(arg_MANY_PROCESSES)
    set(environment ${test_environment} ${many_processes})
  endif()
  set(rest "")
  if(PIDLEAK_SANITIZE)
    set(rest "~[once]")
  endif()
  if(arg_APART)
    catch_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_SPEC "[${arg_APART}]${rest}"
      PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}-${arg_APART}" SKIP_RETURN_CODE 4 ${environment})
    string(APPEND rest "~[${arg_APART}]")
  endif()
  catch_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_SPEC "${rest}"
    PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}" SKIP_RETURN_CODE 4 ${environment})
endfunction()

pidleak_tests(os_tests harness/os/ending_test.cpp harness/os/inet_sockets_test.cpp harness/os/sources_test.cpp harness/os/patience_test.cpp harness/os/procfs_test.cpp harness/os/scratch_cgroup_test.cpp harness/os/process_test.cpp
  USES pidleak_os LABELS os)
pidleak_tests(census_tests harness/census/boundary_test.cpp harness/census/diagnosis_test.cpp harness/census/elsewhere_test.cpp harness/census/genealogy_test.cpp harness/census/growth_test.cpp harness/census/walk_test.cpp
  harness/census/remaining_test.cpp harness/census/roots_test.cpp harness/census/quiescence_test.cpp harness/census/settle_test.cpp harness/census/spinning_test.cpp USES pidleak_census LABELS census)
pidleak_tests(pool_tests harness/pool/call_queue_test.cpp harness/pool/result_queue_test.cpp
  harness/pool/pool_test.cpp harness/pool/broken_pool_test.cpp USES pidleak_worker_code LABELS pool)
pidleak_tests(protocol_tests harness/protocol/message_test.cpp harness/protocol/mistakes_test.cpp
  USES pidleak_protocol pidleak_os LABELS protocol)
find_package(valijson REQUIRED)
if(NOT PIDLEAK_SANITIZE)
  set(schema_tests reports/schema_test.cpp) # it validates thousands of documents
endif()
pidleak_tests(report_tests ${schema_tests} reports/file_test.cpp reports/file_atomicity_test.cpp reports/file_links_test.cpp
  reports/file_places_test.cpp reports/file_system_test.cpp reports/report_test.cpp
  reports/terminal_test.cpp reports/comparison_test.cpp reports/html_test.cpp
  reports/tally_test.cpp reports/diff_test.cpp reports/document_test.cpp reports/junit_test.cpp reports/trace_test.cpp
  reports/markdown_test.cpp reports/shard_test.cpp reports/suppressions_test.cpp reports/sweep_test.cpp
  USES pidleak_reports valijson LABELS report)
set_source_files_properties(reports/schema_test.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON COMPILE_OPTIONS -O1)
pidleak_tests(replay_tests harness/replay/sandbox_test.cpp harness/replay/subject_test.cpp
  harness/replay/ablation_test.cpp harness/replay/evidence_test.cpp harness/replay/server/server_test.cpp harness/replay/turn_test.cpp harness/replay/verdict_test.cpp USES pidleak_replay LABELS replay)
pidleak_tests(tracing_tests harness/tracing/tracing_test.cpp USES pidleak_tracing LABELS tracing)
pidleak_tests(cli_tests harness/cli/cli_test.cpp harness/cli/plain_arguments_test.cpp harness/cli/report_test.cpp harness/cli/shard_test.cpp harness/cli/soak_test.cpp harness/cli/sweep_test.cpp harness/cli/why_test.cpp USES pidleak_guard_run nlohmann_json::nlohmann_json LABELS cli MANY_PROCESSES)
# Not under the sanitizers, which have calls of their own.
if(NOT PIDLEAK_SANITIZE)
  pidleak_tests(sweep_tests harness/sweep/planted_pools_test.cpp harness/sweep/recording_test.cpp USES pidleak_os nlohmann_json::nlohmann_json LABELS sweep)
  add_dependencies(sweep_tests pidleak-planted-pool pidleak-planted-server)
  add_dependencies(cli_tests pidleak-planted-pool)
endif()
pidleak_tests(library_tests harness/library/c_interface_test.cpp harness/library/guard_test.cpp harness/library/listeners_test.cpp
  harness/library/parallel_test.cpp harness/library/specimens_test.cpp
  USES pidleak_library pidleak_specimens valijson LABELS library)
add_dependencies(library_tests pidleak-specimen)
add_executable(pidleak-catch2-subject harness/library/catch2_subject.cpp)
# The whole archive: nothing is missing that one of its parts needs.
target_link_libraries(pidleak-catch2-subject PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,pidleak::pidleak> Catch2::Catch2WithMain)
add_dependencies(library_tests pidleak-catch2-subject)
find_package(GTest)
if(GTest_FOUND)
  add_executable(pidleak-gtest-subject harness/library/gtest_subject.cpp)
  target_link_libraries(pidleak-gtest-subject PRIVATE pidleak::pidleak GTest::gtest)
  add_dependencies(library_tests pidleak-gtest-subject)
endif()
# Not under the sanitizers, whose own calls, memory and ptrace(2) at exit would be what is refused.
if(NOT PIDLEAK_SANITIZE)
  set(refusing_tests harness/guard/containers_test.cpp harness/guard/environments_test.cpp harness/guard/promises_test.cpp)
  # A program of its own: ci/refusals builds and runs it alone, for long.
  pidleak_tests(refusals_tests harness/guard/refusals_test.cpp harness/guard/refusal_trial.cpp harness/guard/refuser.cpp
    USES pidleak_os LABELS guard)
endif()
pidleak_tests(guard_tests harness/guard/attach_test.cpp harness/guard/commands_test.cpp harness/guard/explanations_test.cpp harness/guard/guard_test.cpp
  harness/guard/isolation_test.cpp harness/guard/leaks_test.cpp harness/guard/signals_test.cpp
  harness/guard/terminal_test.cpp harness/guard/watch_test.cpp harness/guard/watched_tree_test.cpp harness/guard/whom_test.cpp ${refusing_tests}
  USES pidleak_specimens pidleak_replay pidleak_guard LABELS guard MANY_PROCESSES)
# In the others `guard` is a function.
set_source_files_properties(harness/guard/watched_tree_test.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
add_dependencies(guard_tests pidleak-specimen)
pidleak_tests(scenario_tests scenarios/scenarios_test.cpp scenarios/ground_truth_test.cpp
  scenarios/real_pools_test.cpp scenarios/diagnosis_test.cpp USES pidleak_scenarios pidleak_pools LABELS scenario APART further-pool MANY_PROCESSES)

pidleak_tests(specimen_tests workers/specimens/specimens_test.cpp workers/specimens/run_specimen.cpp USES pidleak_specimens pidleak_replay
  LABELS specimen TIMEOUT 600 MANY_PROCESSES) # ci/specimens tries each a hundred times
add_dependencies(specimen_tests pidleak-specimen)

if(NOT PIDLEAK_SANITIZE)
  include(ci/tests_once.cmake)
endif()
