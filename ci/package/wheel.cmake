# The wheel pytest-pidleak, of the static programs: ci/wheel. Nothing is downloaded.
find_program(PIDLEAK_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH) # Debian's, which has Debian's modules
find_program(PIDLEAK_PYTHON python3)
if(PIDLEAK_PYTHON AND NOT PIDLEAK_SANITIZE)
  set(wheel ${PROJECT_BINARY_DIR}/wheel)
  set(static ${PROJECT_BINARY_DIR}/static)
  if(PIDLEAK_STATIC) # all are
    set(static ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    add_dependencies(static_programs programs)
  endif()
  add_custom_target(wheel COMMAND ${CMAKE_COMMAND} -E rm -rf ${wheel}
    COMMAND ${PIDLEAK_PYTHON} ${PROJECT_SOURCE_DIR}/harness/library/python/build_wheel.py --version ${PROJECT_VERSION}
      --machine ${CMAKE_SYSTEM_PROCESSOR} --strip ${CMAKE_STRIP}
      --programs ${static} --library $<TARGET_FILE:pidleak-shared>
      --adapters ${PROJECT_SOURCE_DIR}/workers/adapters --license ${PROJECT_SOURCE_DIR}/LICENSE --output ${wheel} VERBATIM)
  add_dependencies(wheel static_programs pidleak-shared)
endif()
