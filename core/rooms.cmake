# The third-party libraries, static or shared as this build is. Rooms link it, so that it comes after them.
add_library(mh_deps INTERFACE)
if(MH_STATIC)
  target_link_directories(mh_deps INTERFACE ${DEPS_STATIC_LIBRARY_DIRS})
  target_link_libraries(mh_deps INTERFACE -Wl,--start-group ${DEPS_STATIC_LIBRARIES} -Wl,--end-group Threads::Threads)
else()
  target_link_directories(mh_deps INTERFACE ${DEPS_LIBRARY_DIRS})
  target_link_libraries(mh_deps INTERFACE ${DEPS_LIBRARIES} Threads::Threads)
endif()

# mh_room(NAME SOURCES a.c b.c USES other rooms LIBS further targets): one folder of core/ is one static library.
# A room must be declared after the rooms it uses; tests/lint/layers.lua checks that #include lines agree.
function(mh_room name)
  cmake_parse_arguments(M "" "" "SOURCES;USES;LIBS" ${ARGN})
  list(TRANSFORM M_USES PREPEND mh_)
  add_library(mh_${name} STATIC ${M_SOURCES})
  target_include_directories(mh_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/core)
  target_include_directories(mh_${name} SYSTEM PRIVATE ${DEPS_INCLUDE_DIRS})
  target_link_libraries(mh_${name} PRIVATE mh_flags PUBLIC ${M_USES} ${M_LIBS} mh_deps)
endfunction()
