-- Portcullis as a plugin of ingress-nginx up to 1.11: /etc/nginx/lua/plugins/portcullis/main.lua. Plugins were removed in
-- 1.12; see deploy/ingress-nginx.

local folder = "/etc/nginx/lua/plugins/portcullis/"
package.path = folder .. "?.lua;" .. package.path

local portcullis = require("portcullis")

portcullis.configure(dofile(folder .. "options.lua"))

-- The controller calls what is named like a phase.
return {
    name = "portcullis",
    rewrite = portcullis.inspect,
    header_filter = portcullis.respond,
    log = portcullis.report,
}
