//! Ports and paths of services that stand inside and are never public.

/// Databases, caches, brokers, orchestrators and remote shells; ports that developers give web servers are not here.
const PORTS: &[u16] = &[
    21, 22, 23, 25, 110, 111, 135, 139, 143, 389, 445, 512, 513, 514, 587, 636, 873, 993, 995, 1099, 1433,
    1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4369, 5432, 5672, 5900, 5984, 5985, 5986, 6379,
    6443, 7001, 8009, 8020, 8086, 8500, 9042, 9092, 9100, 9160, 9200, 9300, 10_250, 10_255, 10_256, 11_211,
    15_672, 27_017, 27_018, 28_017, 50_070, 61_616,
];

/// Beginnings of paths that only an operator asks for.
const PATHS: [&[u8]; 18] = [
    b"/server-status",
    b"/server-info",
    b"/nginx_status",
    b"/actuator",
    b"/jolokia",
    b"/jmx-console",
    b"/manager/html",
    b"/_cat",
    b"/_cluster",
    b"/_nodes",
    b"/_all_dbs",
    b"/v1/agent",
    b"/v1/kv",
    b"/containers/json",
    b"/pods",
    b"/phpmyadmin",
    b"/admin",
    b"/.env",
];

/// Beginnings of paths of metadata services.
const METADATA: [&[u8]; 6] =
    [b"/latest/", b"/computemetadata/", b"/metadata/", b"/opc/", b"/openstack", b"/hetzner/v1/metadata"];

/// Whether `port` or `path` on an inner address is a service's that no page links to.
pub(super) fn is_inner(port: &[u8], path: &[u8]) -> bool {
    let port = std::str::from_utf8(port).ok().and_then(|port| port.parse::<u16>().ok());
    port.is_some_and(|port| PORTS.contains(&port)) || begins(path, &PATHS) || begins(path, &METADATA)
}

/// Whether `path` is one of a metadata service.
pub(super) fn is_metadata(path: &[u8]) -> bool {
    begins(path, &METADATA)
}

fn begins(path: &[u8], beginnings: &[&[u8]]) -> bool {
    beginnings.iter().any(|start| crate::scan::starts_with_ignore_case(path, start))
}
