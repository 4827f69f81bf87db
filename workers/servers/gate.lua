-- What a worker of Apache does when it is asked: it reads the driver's gate, a FIFO, to its end.
function handle(r)
  if r.uri:find("^/block") then
    local gate = io.open(os.getenv("PIDLEAK_DIR") .. "/gate")
    gate:read("a")
    gate:close()
  end
  if r.uri == "/block-allocate" then
    local memory = string.rep("x", 384 * 1024 * 1024)
  end
  local stat = io.open("/proc/self/stat")
  r.content_type = "text/plain"
  r:puts(stat:read("a"):match("^%d+") .. "\n")
  stat:close()
  return apache2.OK
end
