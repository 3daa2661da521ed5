//! What inspecting a request costs, with libinjection's port on the same decoded values beside it.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use portcullis_detect::{Body, Engine, Header, Request};

fn requests(criterion: &mut Criterion) {
    let browser = browser_headers("application/x-www-form-urlencoded");
    let mut group = criterion.benchmark_group("request");
    compare(
        &mut group,
        "small-get",
        &Request {
            target: b"/shop/items?id=1742&sort=price&q=red+shoes",
            headers: &browser,
            ..Request::default()
        },
    );
    let json = json_body();
    compare(&mut group, "json-2k", &post(&browser_headers("application/json"), json.as_bytes()));
    let form = form_body();
    compare(&mut group, "form-64k", &post(&browser, form.as_bytes()));
    let attack = b"/items?id=1%27%20union%20select%20name,pass%20from%20users--%20&q=%3Cimg%20src=x%20onerror=alert(1)%3E";
    compare(&mut group, "attack-get", &Request { target: attack, headers: &browser, ..Request::default() });
    group.finish();
}

fn prose(criterion: &mut Criterion) {
    let text = PROSE.repeat(64 * 1024 / PROSE.len());
    let mut group = criterion.benchmark_group("prose");
    let plain = [Header { name: b"content-type", value: b"text/plain" }];
    compare(&mut group, "one-64k-text", &post(&plain, text.as_bytes()));
    let lines: Vec<String> =
        PROSE.lines().map(|line| format!("{{\"text\":\"{}\"}}", line.replace('"', "\\\""))).collect();
    let many = lines.len() * 64 * 1024 / PROSE.len();
    let json = format!("[{}]", lines.into_iter().cycle().take(many).collect::<Vec<_>>().join(","));
    compare(&mut group, "json-64k-sentences", &post(&browser_headers("application/json"), json.as_bytes()));
    group.finish();
}

/// Times the engine on `request`, and libinjection on the values that the engine decodes it to.
fn compare(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, request: &Request<'_>) {
    let engine = Engine::default();
    let values: Vec<Vec<u8>> = engine.trace(request).into_iter().map(|form| form.bytes).collect();
    let size = request.target.len()
        + request.body.bytes.len()
        + request.headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>();
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function(format!("{name}/portcullis"), |bencher| {
        bencher.iter(|| engine.inspect(black_box(request)));
    });
    group.bench_function(format!("{name}/libinjectionrs"), |bencher| {
        bencher.iter(|| {
            for value in &values {
                black_box(libinjectionrs::detect_sqli(black_box(value)));
                black_box(libinjectionrs::detect_xss(black_box(value)));
            }
        });
    });
}

fn post<'a>(headers: &'a [Header<'a>], body: &'a [u8]) -> Request<'a> {
    Request {
        method: b"POST",
        target: b"/api/orders",
        headers,
        body: Body { bytes: body, truncated: false },
        ..Request::default()
    }
}

fn browser_headers(content_type: &'static str) -> [Header<'static>; 9] {
    [
        ("host", "shop.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.9,de;q=0.7"),
        ("accept-encoding", "gzip, deflate, br"),
        ("referer", "https://shop.example/shop?category=shoes&page=2"),
        ("cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; cart=3"),
        ("content-type", content_type),
        ("sec-fetch-mode", "navigate"),
    ]
    .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
}

/// About 2 KB and 17 items.
fn json_body() -> String {
    let mut body = String::from("{\"customer\":\"Ada O'Neill\",\"items\":[");
    for item in 0..17 {
        let comma = if item == 0 { "" } else { "," };
        let _ = write!(
            body,
            "{comma}{{\"sku\":\"SH-{item:04}\",\"name\":\"Running shoe, size {}\",\"price\":{}.90,\"qty\":1,\"gift\":false,\"note\":\"please wrap in blue paper\"}}",
            36 + item,
            40 + item,
        );
    }
    body.push_str("]}");
    body
}

/// 64 KB and 100 fields.
fn form_body() -> String {
    let words = PROSE.split_ascii_whitespace().collect::<Vec<_>>();
    let mut body = String::new();
    for field in 0..100 {
        let _ = write!(body, "{}field{field}=", if field == 0 { "" } else { "&" });
        let end = body.len() + 645;
        let mut next = field * 7;
        while body.len() < end {
            body.push_str(&words[next % words.len()].replace('\'', "%27").replace(',', "%2C"));
            body.push('+');
            next += 1;
        }
    }
    body
}

const PROSE: &str = "The parcel came on Tuesday, two days late, and the box was a little damp on one side.
I'd ordered the green one for my brother's birthday; he said it's lovely, thanks!
Could you tell me whether the larger size (42 or 43) will be back in stock before the end of June?
We drove up to the lake and walked around it: the path is easy, about 5 km, and there's a cafe at the north end.
Select the colour you like from the list, then update your address and drop us a line if anything's wrong.
My order number is 10-4471-B, placed on 3 May; the total was 59.90 and I paid by card.
She wrote back: \"No problem at all, we'll send you a new one & you can keep the old one.\"
";

criterion_group!(benches, requests, prose);
criterion_main!(benches);
