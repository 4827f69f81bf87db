# What is tested in one build, and would come to the same under the sanitizers: renderings, costs, sources,
# packages, and what runs in a virtual machine.

# What is rendered, read by programs that are not ours: of hand-made reports, and of real replays.
find_program(PIDLEAK_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH) # Debian's, which has Debian's modules
find_program(PIDLEAK_PYTHON python3)
if(PIDLEAK_PYTHON)
  set(replayed ${PROJECT_BINARY_DIR}/renderings.json)
  add_test(NAME renderings-replay COMMAND pidleak run incident full-queue-shutdown --pool all --repeat 2 --expected
    --oom=sigkill --report ${replayed})
  add_test(NAME renderings COMMAND ${PIDLEAK_PYTHON} ${PROJECT_SOURCE_DIR}/reports/check_renderings.py
    $<TARGET_FILE:pidleak> ${PROJECT_SOURCE_DIR}/reports/goldens/every-verdict.json ${replayed})
  set_tests_properties(renderings PROPERTIES
    ENVIRONMENT SPEEDSCOPE=${PROJECT_SOURCE_DIR}/build/npm/node_modules/speedscope)
  set_tests_properties(renderings-replay PROPERTIES FIXTURES_SETUP renderings)
  set_tests_properties(renderings PROPERTIES FIXTURES_REQUIRED renderings)
  set_tests_properties(renderings-replay renderings PROPERTIES LABELS report TIMEOUT 300)
endif()

# What a census costs, beside psutil and ps. ci/benchmark shows all of it; the test, what is promised.
find_package(benchmark QUIET)
if(benchmark_FOUND AND PIDLEAK_PYTHON)
  add_executable(census_benchmark harness/census/census_benchmark.cpp)
  target_link_libraries(census_benchmark PRIVATE pidleak_census benchmark::benchmark)
  target_compile_definitions(census_benchmark PRIVATE PIDLEAK_PYTHON="${PIDLEAK_PYTHON}")
  add_test(NAME cost COMMAND ${PIDLEAK_PYTHON} ${PROJECT_SOURCE_DIR}/ci/benchmark --check --rounds 120 --repetitions 2
    --bin ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} --output ${PROJECT_BINARY_DIR}/benchmark)
  set_tests_properties(cost PROPERTIES LABELS "census;guard" TIMEOUT 300 RUN_SERIAL TRUE)
  find_program(tini tini)
  if(tini) # what can't be reached is lost, twice
    file(WRITE ${PROJECT_BINARY_DIR}/benchmark/planted.json "{\"guard\": {\"pidleak guard, to tini -s\": 0.001}}")
    add_test(NAME cost-planted COMMAND ${PIDLEAK_PYTHON} ${PROJECT_SOURCE_DIR}/ci/benchmark guard --rounds 1
      --against ${PROJECT_BINARY_DIR}/benchmark/planted.json --bin ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}
      --output ${PROJECT_BINARY_DIR}/benchmark/planted)
    set_tests_properties(cost-planted PROPERTIES LABELS guard TIMEOUT 300
      PASS_REGULAR_EXPRESSION "lost: pidleak guard, to tini -s")
  endif()
endif()

# A sample of ci/soak's kills at random moments; and once of a program that leaves a process and a file.
if(PIDLEAK_PYTHON)
  set(kill_at_random ${PIDLEAK_PYTHON} ${PROJECT_SOURCE_DIR}/ci/kill_at_random.py)
  add_test(NAME kills COMMAND ${kill_at_random} $<TARGET_FILE:pidleak> --kills 5)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/leaves.sh CONTENT "#!/bin/sh\n: >$TMPDIR/left\nsleep 100 &\nsleep 1\n")
  file(CHMOD ${PROJECT_BINARY_DIR}/leaves.sh PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
  add_test(NAME kills-planted COMMAND ${kill_at_random} ${PROJECT_BINARY_DIR}/leaves.sh --kills 1 --bound 0.1)
  set_tests_properties(kills-planted PROPERTIES PASS_REGULAR_EXPRESSION "process [0-9]+ sleep 100.*: file left")
  set_tests_properties(kills kills-planted PROPERTIES LABELS replay TIMEOUT 300)
endif()

# Who includes whom; and once with an arrow that is wrong, so that the check is known to see one.
add_test(NAME layers COMMAND ${PROJECT_SOURCE_DIR}/ci/check-layers)
file(WRITE ${PROJECT_BINARY_DIR}/wrong-layers/harness/census/wrong.cpp "#include \"harness/pool/pool.hpp\"\n")
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/wrong-layers/reports ${PROJECT_BINARY_DIR}/wrong-layers/scenarios
  ${PROJECT_BINARY_DIR}/wrong-layers/workers)
add_test(NAME layers-planted COMMAND ${PROJECT_SOURCE_DIR}/ci/check-layers ${PROJECT_BINARY_DIR}/wrong-layers)
set_tests_properties(layers-planted PROPERTIES PASS_REGULAR_EXPRESSION "but harness/census may use only")
set_tests_properties(layers layers-planted PROPERTIES LABELS layers TIMEOUT 300)

# Whether each mutant's old text still stands in the sources; and once with one whose text does not.
if(PIDLEAK_PYTHON)
  add_test(NAME mutants-fit COMMAND ${PIDLEAK_PYTHON} ${PROJECT_SOURCE_DIR}/ci/mutants --check)
  file(WRITE ${PROJECT_BINARY_DIR}/wrong-mutants.toml
    "[[mutant]]\nname = \"wrong\"\nfile = \"harness/census/walk.cpp\"\nold = \"not there\"\nnew = \"\"\ntests = []\nlost = \"\"\n")
  add_test(NAME mutants-fit-planted COMMAND ${PIDLEAK_PYTHON} ${PROJECT_SOURCE_DIR}/ci/mutants --check
    --from ${PROJECT_BINARY_DIR}/wrong-mutants.toml)
  set_tests_properties(mutants-fit-planted PROPERTIES PASS_REGULAR_EXPRESSION "wrong: its old text is 0 times in")
  set_tests_properties(mutants-fit mutants-fit-planted PROPERTIES LABELS mutants TIMEOUT 300)
endif()

# What newer libraries have in headers of their own; and once with a file that does not include one.
add_test(NAME includes COMMAND ${PROJECT_SOURCE_DIR}/ci/check-includes)
file(WRITE ${PROJECT_BINARY_DIR}/wrong-includes/wrong.cpp
  "#include <fmt/format.h>\nauto text = fmt::format(\"{}\", fmt::join(words, \", \"));\n")
add_test(NAME includes-planted COMMAND ${PROJECT_SOURCE_DIR}/ci/check-includes ${PROJECT_BINARY_DIR}/wrong-includes)
set_tests_properties(includes-planted PROPERTIES PASS_REGULAR_EXPRESSION "wrong.cpp uses fmt::join without including")
set_tests_properties(includes includes-planted PROPERTIES LABELS layers TIMEOUT 300)
get_target_property(boost_filesystem Boost::filesystem LOCATION)
add_test(NAME newer-boost COMMAND ${PROJECT_SOURCE_DIR}/ci/check-newer-boost ${PROJECT_SOURCE_DIR}
  ${PROJECT_BINARY_DIR}/newer-boost ${Boost_INCLUDE_DIRS} ${boost_filesystem})
set_tests_properties(newer-boost PROPERTIES LABELS layers TIMEOUT 600 COST 900 SKIP_RETURN_CODE 4
  ENVIRONMENT "CXX=${CMAKE_CXX_COMPILER}")

# What `cmake --install` puts in place works from there.
set(installed ${PROJECT_BINARY_DIR}/installed)
add_test(NAME install COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${installed})
add_test(NAME installed-pidleak COMMAND ${installed}/${CMAKE_INSTALL_BINDIR}/pidleak run incident --pool hardened
  --start-method all --oom=sigkill)
set_tests_properties(install PROPERTIES FIXTURES_SETUP installed)
set_tests_properties(installed-pidleak PROPERTIES FIXTURES_REQUIRED installed)
set_tests_properties(install installed-pidleak PROPERTIES LABELS install TIMEOUT 300)
include(ci/package/tests.cmake)

# The shared library, called from elsewhere; and pytest's plugin, on it.
if(PIDLEAK_PYTHON)
  add_test(NAME c-interface COMMAND ${PROJECT_SOURCE_DIR}/ci/package/check-c-interface $<TARGET_FILE:pidleak-shared>
    ${PROJECT_BINARY_DIR}/c-interface ${PIDLEAK_PYTHON})
  set(python_tests ${PROJECT_SOURCE_DIR}/harness/library/python/tests)
  add_test(NAME pytest-planted COMMAND ${PIDLEAK_PYTHON} ${python_tests}/check_planted.py $<TARGET_FILE:pidleak>
    --pidleak-grace 1 -n 4)
  add_test(NAME pytest-plugin COMMAND pidleak guard -- ${PIDLEAK_PYTHON} -m pytest -q -p no:cacheprovider
    --basetemp ${PROJECT_BINARY_DIR}/pytest --rootdir ${python_tests} -n 4 ${python_tests}/test_plugin.py)
  set_tests_properties(pytest-planted pytest-plugin PROPERTIES ENVIRONMENT
    "PYTEST_PLUGINS=pytest_pidleak.plugin;PYTHONPATH=${PROJECT_SOURCE_DIR}/harness/library/python;PIDLEAK_LIBRARY=$<TARGET_FILE:pidleak-shared>;PYTHONDONTWRITEBYTECODE=1")
  set_tests_properties(c-interface pytest-planted pytest-plugin PROPERTIES LABELS library TIMEOUT 300 SKIP_RETURN_CODE 4)
endif()

# The scenarios on cgroup v2, in a virtual machine that runs the static programs (static_programs).
set_property(TARGET static_programs PROPERTY EXCLUDE_FROM_ALL FALSE)
add_test(NAME vm-boot COMMAND ${PROJECT_SOURCE_DIR}/ci/vm/boot ${PROJECT_BINARY_DIR}/static ${PROJECT_BINARY_DIR}/vm
  ${PROJECT_SOURCE_DIR}/build/kernel)
set_tests_properties(vm-boot PROPERTIES FIXTURES_SETUP vm SKIP_RETURN_CODE 4 TIMEOUT 600 LABELS vm COST 1000)
add_executable(vm_tests ci/vm/vm_test.cpp)
target_link_libraries(vm_tests PRIVATE pidleak_reports Catch2::Catch2WithMain)
target_compile_definitions(vm_tests PRIVATE PIDLEAK_VM_RESULTS="${PROJECT_BINARY_DIR}/vm")
catch_discover_tests(vm_tests DISCOVERY_MODE PRE_TEST
  PROPERTIES TIMEOUT 300 LABELS vm FIXTURES_REQUIRED vm SKIP_RETURN_CODE 4)
