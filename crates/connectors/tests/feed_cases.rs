//! Documents that readers of feeds are known to stumble over, by what is wrong with them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::too_many_lines, reason = "tables")]

mod reading;
mod server;
mod support;

use std::io::Write as _;

use encoding_rs::Encoding;
use flate2::Compression;
use flate2::write::GzEncoder;
use reading::{case, check};
use serde_json::{Value, json};

const RUSSIAN: &str = "Новости дня";
const JAPANESE: &str = "記事一覧";

/// An RSS feed with these items and attributes of its root.
fn rss_as(attributes: &str, items: &str) -> String {
    format!(
        "<rss {attributes}><channel><title>Mill</title><link>https://mill.example/</link>{items}</channel></rss>"
    )
}

fn rss(items: &str) -> String {
    rss_as("version=\"2.0\"", items)
}

/// An item with more in it.
fn item(number: u8, title: &str, more: &str) -> String {
    format!(
        "<item><guid isPermaLink=\"false\">m{number}</guid><title>{title}</title><link>https://mill.example/{number}</link>{more}</item>"
    )
}

/// Two items, of which the first has more in it.
fn two(title: &str, more: &str) -> String {
    item(2, title, more) + &item(1, "Flour", "")
}

fn atom(entries: &str) -> String {
    format!(
        "<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:media=\"http://search.yahoo.com/mrss/\"><title>Quay</title>{entries}</feed>"
    )
}

/// An entry with more in it.
fn entry(number: u8, more: &str) -> String {
    format!(
        "<entry><id>tag:quay.example,2026:{number}</id><link href=\"https://quay.example/{number}\"/>\
         <updated>2026-11-03T09:00:00Z</updated>{more}</entry>"
    )
}

fn json_feed(items: &str) -> String {
    format!("{{\"version\":\"https://jsonfeed.org/version/1.1\",\"title\":\"Pond\",\"items\":{items}}}")
}

fn declared(encoding: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let declaration = format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n");
    [declaration.as_bytes(), body.as_ref()].concat()
}

fn encoded(label: &str, text: &str) -> Vec<u8> {
    Encoding::for_label(label.as_bytes()).unwrap().encode(text).0.into_owned()
}

fn wide(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(body).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn encodings() {
    let author = "<author>田中（tanaka@example.jp）</author>";
    let title = |text: &str| rss(&item(1, text, ""));
    let cyrillic = encoded("windows-1251", &title(RUSSIAN));
    let broken = encoded("latin1", &rss(&two("Café", "")));
    check(vec![
        case(
            "Shift_JIS with an author in wide brackets",
            1,
            declared("Shift_JIS", encoded("shift_jis", &rss(&item(1, JAPANESE, author)))),
        )
        .has("/title", JAPANESE)
        .has("/authors", json!([{ "name": "田中", "email": "tanaka@example.jp" }])),
        case(
            "UTF-16 with a mark",
            1,
            [b"\xfe\xff".to_vec(), wide(&title(RUSSIAN), u16::to_be_bytes)].concat(),
        )
        .has("/title", RUSSIAN),
        case("UTF-16 without a mark", 1, wide(&title(RUSSIAN), u16::to_le_bytes)).has("/title", RUSSIAN),
        case("says UTF-16, is UTF-8", 1, declared("utf-16", title("Zürich"))).has("/title", "Zürich"),
        case("says US-ASCII, is UTF-8", 1, declared("us-ascii", title("Zürich"))).has("/title", "Zürich"),
        case("says Latin 1, is UTF-8", 1, declared("iso-8859-1", title("Zürich"))).has("/title", "Zürich"),
        case(
            "says UTF-8, is Latin 1 throughout",
            1,
            declared("utf-8", encoded("latin1", &title("Zürich, Köln, Lüneburg, Osnabrück, Füssen"))),
        )
        .has("/title", "Zürich, Köln, Lüneburg, Osnabrück, Füssen"),
        case("the header alone says it", 1, cyrillic.clone())
            .header("content-type", "text/xml; charset=windows-1251")
            .has("/title", RUSSIAN),
        case("the header wins over the declaration", 1, declared("iso-8859-1", &cyrillic))
            .header("content-type", "application/xml; charset=\"windows-1251\"")
            .has("/title", RUSSIAN),
        case("the declaration wins over a header that cannot be", 1, declared("windows-1251", &cyrillic))
            .header("content-type", "application/xml; charset=utf-8")
            .has("/title", RUSSIAN),
        case(
            "a mark wins over the declaration",
            1,
            [b"\xef\xbb\xbf".to_vec(), declared("windows-1251", title(RUSSIAN))].concat(),
        )
        .has("/title", RUSSIAN),
        case("two marks", 1, format!("\u{feff}\u{feff}{}", title("Zürich"))).has("/title", "Zürich"),
        case("one broken byte", 2, declared("utf-8", broken)).has("/title", "Caf\u{fffd}"),
        case("ISO-2022-JP", 1, declared("iso-2022-jp", encoded("iso-2022-jp", &title(JAPANESE))))
            .has("/title", JAPANESE),
        case("GBK", 1, declared("gb2312", encoded("gbk", &title("新闻头条")))).has("/title", "新闻头条"),
        case("EUC-KR", 1, declared("euc-kr", encoded("euc-kr", &title("뉴스")))).has("/title", "뉴스"),
        case("KOI8-R", 1, declared("koi8-r", encoded("koi8-r", &title(RUSSIAN)))).has("/title", RUSSIAN),
        case(
            "Atom in Latin 2",
            1,
            declared("iso-8859-2", encoded("iso-8859-2", &atom(&entry(1, "<title>Žluťoučký kůň</title>")))),
        )
        .has("/title", "Žluťoučký kůň"),
        case(
            "JSON with a mark",
            1,
            format!("\u{feff}{}", json_feed("[{\"id\":\"1\",\"title\":\"Zürich\"}]")),
        )
        .has("/title", "Zürich"),
        case(
            "JSON in UTF-16",
            1,
            wide(&json_feed("[{\"id\":\"1\",\"title\":\"Zürich\"}]"), u16::to_le_bytes),
        )
        .has("/title", "Zürich"),
    ])
    .await;
}

#[tokio::test]
async fn names_of_elements_and_versions() {
    let one = item(1, "Flour", "");
    let mut cases = vec![
        case("RSS in Atom's namespace", 1, rss_as("version=\"2.0\" xmlns=\"http://www.w3.org/2005/Atom\"", &one)).has("/title", "Flour"),
        case("RSS in an old namespace", 1, rss_as("version=\"2.0\" xmlns=\"http://backend.userland.com/RSS2\"", &one)).has("/url", "https://mill.example/1"),
        case("RSS in a namespace that nobody knows", 1, rss_as("version=\"2.0\" xmlns=\"urn:own\"", &one)).has("/title", "Flour"),
        case("RSS 0.90", 1, "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" xmlns=\"http://my.netscape.com/rdf/simple/0.9/\">\
            <channel><title>C</title></channel><item><title>A</title><link>https://c.example/a</link></item></rdf:RDF>").has("/url", "https://c.example/a"),
        case("RSS 1.0 with prefixes", 1, "<r:RDF xmlns:r=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" xmlns:s=\"http://purl.org/rss/1.0/\">\
            <s:channel><s:title>C</s:title></s:channel><s:item r:about=\"urn:a\"><s:title>A</s:title></s:item></r:RDF>").has("/title", "A").has("/feed/title", "C"),
        case("Atom 0.3", 1, "<feed version=\"0.3\" xmlns=\"http://purl.org/atom/ns#\"><entry><id>tag:a,2</id><title mode=\"escaped\" type=\"text/html\">A &amp;amp; B</title>\
            <link rel=\"alternate\" href=\"https://a.example/2\"/><issued>2026-11-03T10:00:00Z</issued><content mode=\"base64\" type=\"text/html\">PHA+aGk8L3A+</content></entry></feed>")
            .has("/title", "A & B").has("/published", "2026-11-03T10:00:00Z").has("/content", "<p>hi</p>"),
        case("Atom with prefixes", 1, "<a:feed xmlns:a=\"http://www.w3.org/2005/Atom\"><a:entry><a:id>1</a:id><a:title>A</a:title><a:link href=\"https://a.example/\"/></a:entry></a:feed>")
            .has("/url", "https://a.example/").has("/title", "A"),
        case("Atom without a namespace", 1, "<feed><entry><id>1</id><title>A</title></entry></feed>").has("/title", "A"),
        case("prefixes without declarations", 1, rss(&item(1, "Flour", "<dc:creator>Ada</dc:creator><content:encoded>&lt;p&gt;x&lt;/p&gt;</content:encoded><media:content url=\"https://m.example/1.jpg\"/>")))
            .has("/authors/0/name", "Ada").has("/content", "<p>x</p>").has("/enclosures/0/url", "https://m.example/1.jpg"),
        case("a channel without rss", 1, format!("<channel>{one}</channel>")).has("/title", "Flour"),
        case("names in capitals", 1, rss("<ITEM><GUID>9</GUID><Title>Big</Title><PUBDATE>Tue, 03 Nov 2026 10:00:00 GMT</PUBDATE></ITEM>")).has("/title", "Big").has("/published", "2026-11-03T10:00:00Z"),
        case("items beside the channel", 1, format!("<rss version=\"2.0\"><channel><title>C</title></channel>{one}</rss>")).has("/feed/title", "C"),
        case("one entry as a document", 1, entry(1, "<title>A</title>")).has("/title", "A"),
    ];
    for version in [
        "",
        "version=\"2\"",
        "version=\"2.0.1\"",
        "version=\"0.93\"",
        "version=\"0.94\"",
        "version='3.0'",
        "version=2.0",
    ] {
        cases.push(case("versions", 1, rss_as(version, &one)).has("/title", "Flour"));
    }
    check(cases).await;
}

#[tokio::test]
async fn a_blemish_costs_itself() {
    let itunes = "version=\"2.0\" xmlns:itunes=\"http://www.itunes.com/dtds/podcast-1.0.dtd\"";
    check(vec![
        case("an ampersand in a title", 2, rss(&two("Salt & vinegar", ""))).has("/title", "Salt & vinegar"),
        case("an ampersand in a link", 2, rss("<item><guid>1</guid><link>https://m.example/?a=1&b=2&copy=3</link></item><item><guid>2</guid></item>")).has("/url", "https://m.example/?a=1&b=2&copy=3"),
        case("an ampersand in an attribute", 2, rss(&two("t", "<enclosure url=\"https://m.example/?a=1&b=2\" type=\"audio/mpeg\"/>"))).has("/enclosures/0/url", "https://m.example/?a=1&b=2"),
        case("halves of a pair", 2, rss(&two("Wave &#55357;&#56395; bye", ""))).has("/title", "Wave 👋 bye"),
        case("half of a pair", 2, rss(&two("Wave &#55357; bye", ""))).has("/title", "Wave \u{fffd} bye"),
        case("a character that is none", 2, rss(&two("a&#0;b&#x1;c", ""))).has("/title", "abc"),
        case("control characters", 2, rss(&two("a\u{8}b\u{1c}c", ""))).has("/title", "abc"),
        case("a type that is none", 2, atom(&(entry(2, "<title type=\"plain\">Odd</title>") + &entry(1, "")))).has("/title", "Odd"),
        case("a content of a type that is none", 2, atom(&(entry(2, "<content type=\"???\">x</content>") + &entry(1, "")))).has("/content", "x"),
        case("an xml:base that is none", 2, atom(&format!("<entry xml:base=\"http://[bad\"><id>b</id><link href=\"p\"/></entry>{}", entry(1, "")))).has("/id", "b"),
        case("a duration beyond all", 2, rss_as(itunes, &two("t", "<itunes:duration>88888888888888888888888</itunes:duration>"))),
        case("a declaration within", 2, rss(&two("t", "<description><?xml version=\"1.0\" encoding=\"iso-8859-1\"?>x</description>"))).has("/summary", "x"),
        case("a < that is none", 2, rss(&two("proj < 6 and <3 and <1536x1536>", ""))).has("/title", "proj < 6 and <3 and <1536x1536>"),
        case("tags of HTML that nobody closes", 2, rss(&two("t", "<description>one<br>two<img src=x><p>three</description>"))).has("~/summary", "three"),
        case("a section that nobody closes", 2, rss(&two("t", "<description><![CDATA[open</description>")).replace("Flour", "<![CDATA[Flour]]>")).has("/title", "Flour").has("/summary", "open"),
        case("a section within a section", 2, rss(&two("t", "<description><![CDATA[a <![CDATA[b]]> c]]></description>"))).has("/summary", "a b c"),
        case("an end tag that is missing", 2, rss(&two("t", "")).replace("</title><link>https://mill.example/2", "<link>https://mill.example/2")).has("/title", "t").has("/url", "https://mill.example/2"),
        case("an item that nobody closes", 2, rss(&two("t", "")).replace("/2</link></item>", "/2</link>")).has("/title", "t"),
        case("attributes without quotes", 2, rss(&two("t", "<enclosure url=https://m.example/a.mp3 length=12 type=audio/mpeg />"))).has("/enclosures/0", json!({ "url": "https://m.example/a.mp3", "type": "audio/mpeg", "length": 12 })),
        case("a quote that nobody closes", 2, rss(&two("t", "<description><a href=\"x>y</a> \"z</description>"))).has("~/summary", "z"),
        case("an enclosure and a link without an end", 2, rss(&format!("<atom:link href=\"https://m.example/f\" rel=\"self\">{}", two("t", "<enclosure url=\"https://m.example/a.mp3\"><pubDate>Tue, 03 Nov 2026 10:00:00 GMT</pubDate>")))).has("/published", "2026-11-03T10:00:00Z"),
        case("entities of a document type", 2, format!("<!DOCTYPE rss [<!ENTITY x \"y\"> <!-- ]> --> <!ENTITY z '>'>]>{}", rss(&two("&x; &eacute;", "")))).has("/title", "&x; é"),
        case("a warning before and after", 2, format!("<br />\n<b>Warning</b>: oops in <b>x.php</b><br />\n<?xml version=\"1.0\"?>\n{}\n<b>Notice</b>: bye", rss(&two("t", "")))),
        case("an item that says nothing", 1, rss(&format!("<item><x/></item>{}", item(1, "Flour", "")))).problems(1).has("/title", "Flour"),
        case("the end is missing", 1, rss(&two("t", "")).split("<title>Flour").next().unwrap().to_owned()).problems(1).has("/title", "t"),
    ])
    .await;
}

#[tokio::test]
async fn json() {
    let beside = |fields: &str| {
        json_feed(&format!(
            "[{{\"id\":\"1\",\"content_text\":\"a\",{fields}}},{{\"id\":\"2\",\"content_text\":\"b\"}}]"
        ))
    };
    check(vec![
        case("authors that are one", 2, beside("\"authors\":{\"name\":\"Jo\"}")).has("/authors/0/name", "Jo"),
        case("an author that is a text", 2, beside("\"author\":\"Jo\"")).has("/authors/0/name", "Jo"),
        case("a size that is a text", 2, beside("\"attachments\":[{\"url\":\"https://p.example/a\",\"mime_type\":\"audio/mpeg\",\"size_in_bytes\":\"77\"}]")).has("/enclosures/0/length", 77),
        case("a size that is a fraction", 2, beside("\"attachments\":[{\"url\":\"https://p.example/a\",\"mime_type\":\"audio/mpeg\",\"size_in_bytes\":77.0}]")).has("/enclosures/0/length", 77),
        case("an attachment without a type", 2, beside("\"attachments\":[{\"url\":\"https://p.example/a\"}]")).has("/enclosures/0/url", "https://p.example/a"),
        case("tags that are a text", 2, beside("\"tags\":\"a, b\"")).has("/categories", json!(["a", "b"])),
        case("a date that is a number", 2, beside("\"date_published\":1793613600")).has("/published", Value::Null),
        case("fields of no use", 2, beside("\"title\":null,\"url\":{},\"image\":[1],\"summary\":false,\"tags\":{\"a\":1}")).has("/title", Value::Null),
        case("no title of the feed", 1, "{\"version\":\"https://jsonfeed.org/version/1\",\"items\":[{\"id\":\"1\"}]}").has("/feed/title", Value::Null),
        case("items that are null", 0, json_feed("null")),
        case("items that are no objects", 1, json_feed("[1,null,{\"id\":\"1\"}]")).problems(1),
        case("ids that are numbers", 2, json_feed("[{\"id\":7},{\"id\":7.5}]")).has("/id", "7").has("/id", "7.5"),
        case("a comma too many and a line break within a text", 2, json_feed("[{\"id\":\"1\",\"title\":\"a\nb\",},{\"id\":\"2\"},]")).has("/title", "a b"),
        case("half of a pair", 1, json_feed("[{\"id\":\"1\",\"title\":\"a \\ud83d b\"}]")).has("~/title", "a "),
        case("the same key twice", 1, json_feed("[{\"id\":\"1\",\"title\":\"a\",\"title\":\"b\"}]")).has("/title", "b"),
        case("authors of the feed", 1, "{\"authors\":[{\"name\":\"Jo\"}],\"items\":[{\"id\":\"1\"}]}").has("/authors/0/name", "Jo"),
        case("it breaks off", 1, json_feed("[{\"id\":\"1\"},{\"id\":\"2\"").trim_end_matches('}').to_owned()).problems(1),
    ])
    .await;
}

#[tokio::test]
async fn titles_are_text() {
    let atom_title = |title: &str| atom(&entry(1, title));
    check(vec![
        case("HTML in Atom", 1, atom_title("<title type=\"html\">Fish &amp;amp; &lt;i&gt;chips&lt;/i&gt; &amp;eacute;&lt;br&gt;x</title>")).has("/title", "Fish & chips é x"),
        case("text in Atom is literal", 1, atom_title("<title>Use &amp;lt;b&amp;gt; and &lt;i&gt;</title>")).has("/title", "Use &lt;b&gt; and <i>"),
        case("XHTML in Atom", 1, atom_title("<title type=\"xhtml\"><div xmlns=\"http://www.w3.org/1999/xhtml\">Fish <em>&amp;</em> chips</div></title>")).has("/title", "Fish & chips"),
        case("a < in HTML", 1, atom_title("<title type=\"html\">&lt;3 ferries</title>")).has("/title", "<3 ferries"),
        case("references in a section", 1, rss(&item(1, "<![CDATA[Bo&#8217;s caf&eacute; &amp; inn]]>", ""))).has("/title", "Bo’s café & inn"),
        case("references that XML does not know", 1, rss(&item(1, "Na&iuml;ve&nbsp;art", ""))).has("/title", "Naïve\u{a0}art"),
        case("escaped twice", 1, rss(&item(1, "y&amp;#x27;all &amp;amp; me", ""))).has("/title", "y'all & me"),
        case("tags within", 1, rss(&item(1, "a <b>bold</b> move", ""))).has("/title", "a bold move"),
        case("escaped tags of titles", 1, rss(&item(1, "a &lt;em&gt;bold&lt;/em&gt; Vec&lt;T&gt;", ""))).has("/title", "a bold Vec<T>"),
        case("white space", 1, rss(&item(1, "\n  two\n\tlines ", ""))).has("/title", "two lines"),
        case("nothing", 1, rss(&item(1, " ", ""))).has("/title", Value::Null),
    ])
    .await;
}

#[tokio::test]
async fn contents_are_what_their_author_wrote() {
    let xhtml = "<content type=\"xhtml\"><div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"https://x.example/?a=1&amp;b=2\" title=\"a &quot;b&quot; &lt;c&gt;\">l</a><br/></div></content>";
    let media = "<media:group><media:title>Clip</media:title><media:content url=\"https://v.example/1.mp4\" type=\"video/mp4\"/>\
                 <media:thumbnail url=\"https://v.example/1.jpg\"/><media:description>What it shows</media:description></media:group>";
    check(vec![
        case("XHTML keeps its references", 1, atom(&entry(1, xhtml)))
            .has("/content", "<a href=\"https://x.example/?a=1&amp;b=2\" title=\"a &quot;b&quot; &lt;c&gt;\">l</a><br/>")
            .has("/content_type", "application/xhtml+xml"),
        case("HTML is unescaped once", 1, atom(&entry(1, "<content type=\"html\">&lt;p&gt;a &amp;amp; b&lt;/p&gt;</content>"))).has("/content", "<p>a &amp; b</p>").has("/content_type", "text/html"),
        case("text stays text", 1, atom(&entry(1, "<content>a &lt; b</content>"))).has("/content", "a < b").has("/content_type", "text/plain"),
        case("tags that nobody escaped", 1, rss(&item(1, "t", "<description><p>one <b>two</b> &amp; three</p></description>"))).has("/summary", "<p>one <b>two</b> &amp; three</p>"),
        case("only media", 1, atom(&entry(1, media))).has("/summary", "What it shows").has("/title", "Clip").has("/enclosures/0/type", "video/mp4"),
        case("a content elsewhere", 1, atom("<entry><id>1</id><content src=\"https://q.example/full\" type=\"text/html\"/></entry>")).has("/url", "https://q.example/full").has("/content", Value::Null),
        case("a summary of a podcast", 1, rss(&item(1, "t", "<itunes:summary>Long</itunes:summary><itunes:subtitle>Short</itunes:subtitle><itunes:author>Ada</itunes:author>"))).has("/summary", "Long").has("/authors/0/name", "Ada"),
        case("SVG", 1, atom(&entry(1, "<content type=\"image/svg+xml\"><svg xmlns=\"http://www.w3.org/2000/svg\"><title>no</title></svg></content>"))).has("/content_type", "image/svg+xml").has("/title", Value::Null),
    ])
    .await;
}

#[tokio::test]
async fn names_dates_and_people() {
    let rdf = |items: &str| {
        format!(
            "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" xmlns=\"http://purl.org/rss/1.0/\"><channel rdf:about=\"https://c.example/\"><title>C</title></channel>{items}</rdf:RDF>"
        )
    };
    let about = |name: &str| {
        format!(
            "<item rdf:about=\"{name}\"><title>Failed</title><link>https://c.example/latest</link></item>"
        )
    };
    let dated = |date: &str| rss(&item(1, "t", date));
    check(vec![
        case("rdf:about", 2, rdf(&(about("urn:a") + &about("urn:b")))).has("/id", "urn:a").has("/id", "urn:b"),
        case("a date without seconds", 1, dated("<dc:date>2026-11-03T10:00+01:00</dc:date>")).has("/published", "2026-11-03T09:00:00Z"),
        case("a date that is none", 1, dated("<pubDate>yesterday</pubDate>")).has("/published", Value::Null),
        case("the author in RSS's form", 1, dated("<author>ada@example.org (Ada L)</author>")).has("/authors", json!([{ "name": "Ada L", "email": "ada@example.org" }])),
        case("the author twice", 1, dated("<author>Ada</author><dc:creator>Ada</dc:creator>")).has("/authors", json!([{ "name": "Ada" }])),
        case("the author of an Atom feed", 1, atom(&format!("<author><name>Ivo</name><uri>https://i.example/</uri></author>{}", entry(1, "")))).has("/authors", json!([{ "name": "Ivo", "url": "https://i.example/" }])),
        case("who edits an RSS feed", 1, rss(&format!("<managingEditor>e@example.org (Eva)</managingEditor>{}", item(1, "t", "")))).has("/authors/0/name", "Eva"),
        case("a relation as an address", 1, atom("<entry><id>1</id><link rel=\"http://www.iana.org/assignments/relation/alternate\" href=\"https://q.example/1\"/></entry>")).has("/url", "https://q.example/1"),
        case("a link to itself is no page", 1, atom("<entry><id>1</id><link rel=\"self\" href=\"https://q.example/x\"/></entry>")).has("/url", Value::Null),
        case("a guid that is no address", 1, rss("<item><guid ispermalink=\"FALSE\">https://m.example/not</guid></item>")).has("/url", Value::Null),
        case("a guid that is one", 1, rss("<item><guid>https://m.example/yes</guid></item>")).has("/url", "https://m.example/yes"),
        case("an empty enclosure", 1, dated("<enclosure url=\"\" type=\"\" length=\"\"/>")).has("/enclosures", json!([])),
        case("bases within bases", 1, "<feed xmlns=\"http://www.w3.org/2005/Atom\" xml:base=\"https://q.example/a/\"><entry xml:base=\"b/\"><id>1</id><link href=\"c\"/></entry></feed>").has("/url", "https://q.example/a/b/c"),
        case("an empty guid", 1, rss("<item><guid> </guid><link>https://m.example/7</link></item>")).has("/id", "https://m.example/7"),
    ])
    .await;
}

#[tokio::test]
async fn packings() {
    let plain = rss(&item(1, "Flour", "")).into_bytes();
    let halves = [gzip(&plain[..50]), gzip(&plain[50..])].concat();
    check(vec![
        case("gzip in capitals", 1, gzip(&plain)).header("content-encoding", "GZIP"),
        case("x-gzip", 1, gzip(&plain)).header("content-encoding", "x-gzip"),
        case("two members", 1, halves).header("content-encoding", "gzip"),
        case("something behind", 1, [gzip(&plain), b"\0\0\0".to_vec()].concat())
            .header("content-encoding", "gzip"),
        case("says gzip, is plain", 1, plain.clone()).header("content-encoding", "gzip"),
        case("a file that is packed", 1, gzip(&plain)).header("content-type", "application/gzip"),
        case("packed twice", 1, gzip(&gzip(&plain))).header("content-encoding", "gzip"),
        case("an encoding that is none", 1, plain).header("content-encoding", "utf-8"),
    ])
    .await;
}
