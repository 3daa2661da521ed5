-- Options of the plugin; nginx/portcullis.conf explains each.
return {
    agent = "unix:/sigsci/tmp/sigsci.sock",
    timeout_ms = 100,
    fail_open = true,
    fail_status = 503,
    body_max_bytes = 307200,
}
