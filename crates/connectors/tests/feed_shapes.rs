//! Shapes of feeds from public bug reports of people who read feeds, made up anew: each is named by the project
//! and the topic of the report. What is expected is what the reporter expected; where that is not possible, that health
//! says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::too_many_lines, reason = "tables")]

mod reading;
mod server;
mod support;

use reading::{case, check};
use serde_json::{Value, json};

fn rss(items: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\"><channel><title>S</title><link>https://s.example/</link>{items}</channel></rss>"
    )
}

fn atom(entries: &str) -> String {
    format!("<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>S</title>{entries}</feed>")
}

/// An item whose title is of interest.
fn titled(title: &str) -> String {
    rss(&format!(
        "<item><guid>1</guid><title>{title}</title></item><item><guid>2</guid><title>next</title></item>"
    ))
}

/// An item whose date is of interest.
fn dated(date: &str) -> String {
    rss(&format!("<item><guid>1</guid><pubDate>{date}</pubDate></item>"))
}

fn described(description: &str) -> String {
    rss(&format!(
        "<item><guid>1</guid><description>{description}</description></item><item><guid>2</guid></item>"
    ))
}

fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

#[tokio::test]
async fn markup() {
    check(vec![
        case("mior 6: an end tag of another element", 2, described("<p>one<img src=\"a\"></p></img>")).has("~/summary", "one"),
        case("MWFeedParser 38: & nbsp; in a category", 1, rss("<item><guid>1</guid><category>Movie& nbsp;/& nbsp;Action</category></item>")).has("/categories/0", "Movie& nbsp;/& nbsp;Action"),
        case("nitter 268: characters that are none in a name", 2, titled("a\u{ffff}\u{fffe}b")).has("/title", "ab"),
        case("e107 2125: a mark behind a line break", 2, format!("\r\n\u{feff}{}", titled("a"))).has("/title", "a"),
        case("miniflux 569: illegal character U+001E", 2, described("a\u{1e}b")).has("/summary", "ab"),
        case("miniflux 52: U+0018 within code", 2, described("&lt;code&gt;123\u{18}&lt;/code&gt;")).has("/summary", "<code>123</code>"),
        case("miniflux 575: U+0010 beside a dash", 2, titled("checks \u{2014}\u{10} nested")).has("/title", "checks \u{2014} nested"),
        case("miniflux 320: &nbsp; of a site builder", 2, described("a&nbsp;b")).has("/summary", "a\u{a0}b"),
        case("anaconda-issues 11619: proj <6 in a title", 2, titled("hotfix basemap - also require proj <6")).has("/title", "hotfix basemap - also require proj <6"),
        case("FreshRSS 5779: sizes of pictures as tags", 2, rss("<item><guid>1</guid><title>a</title><thumbs>\n<thumbnail>x</thumbnail>\n<1536x1536>https://s.example/1.png</1536x1536>\n<2048x2048>y</2048x2048></thumbs></item><item><guid>2</guid></item>")).has("/title", "a"),
        case("RSS Guard 2020: <!a is no declaration", 2, described("x <!a y")).has("~/summary", "x <!a y"),
        case("RSS Guard 1403: a blank line before the declaration", 2, format!("\n\n{}", titled("a"))).has("/title", "a"),
        case("feedparser 570: a line break before a declaration of Latin 1", 1, latin_1("\n<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><rss><channel><item><guid>1</guid><title>caf\u{e9}</title></item></channel></rss>")).has("/title", "caf\u{e9}"),
        case("node-feedparser 176: a line break within the declaration", 1, latin_1("<?xml version=\"1.0\"\nencoding=\"ISO-8859-1\" ?>\n<rss version=\"0.91\"><channel><item><title>caf\u{e9}</title></item></channel></rss>")).has("/title", "caf\u{e9}"),
        case("RSS Guard 1788: a PHP error behind the feed", 2, titled("a") + "\n<br />\n<b>Fatal error</b>:  Uncaught Error in <b>/x.php</b> on line <b>3</b><br />").has("/title", "a"),
        case("thesassway 51: a section that a script ends too early", 2, described("<![CDATA[<script>% <![CDATA[ x %]]></script>]]>")).has("~/summary", "x %"),
        case("buttondown 276: ]]> at the end", 2, titled("a") + "]]>").has("/title", "a"),
        case("obs-landing 239: img tags that nobody closes", 2, described("<p>one<img src=\"a.png\"><p>two")).has("~/summary", "two"),
        case("feedsmith 377: an atom:link without a slash swallows the items", 2, titled("a").replace("<item><guid>1", "<atom:link href=\"https://s.example/f\" rel=\"self\"><item><guid>1")).has("/title", "a"),
        case("gofeed 219: the end comes within a section", 1, described("<![CDATA[a]]>").replace("<guid>2</guid></item></channel></rss>", "<guid>2</guid><description><![CDATA[and th")).problems(1).has("/summary", "a"),
        case("ruby-lang.org 1070: the feed is truncated", 1, titled("a").split("<title>next").next().unwrap().to_owned()).problems(1).has("/title", "a"),
    ])
    .await;
}

#[tokio::test]
async fn namespaces_and_roots() {
    check(vec![
        case("feedparser 156: itunes is unbound", 1, rss("<itunes:author>E</itunes:author><item><guid>1</guid><itunes:author>I</itunes:author></item>")).has("/authors/0/name", "I"),
        case("huginn 1197: media is not defined", 1, rss("<item><guid>1</guid><media:content url=\"https://s.example/1.jpg\" type=\"image/jpeg\"/></item>")).has("/enclosures/0/type", "image/jpeg"),
        case("pixelfed 1512: attributes of an unbound prefix", 1, atom("<link rel=\"avatar\" media:width=\"120\" href=\"/a.png\"/><entry><id>1</id><title>t</title></entry>")).has("/title", "t"),
        case("krill 2: dc is not associated with a namespace", 1, rss("<item><guid>1</guid><dc:creator>D</dc:creator><dc:date>2026-11-02</dc:date></item>")).has("/authors/0/name", "D"),
        case("RssBandit 5: tags of an office program", 1, rss("<item><guid>1</guid><description><o:p>x</o:p></description></item>")).has("/summary", "<o:p>x</o:p>"),
        case("podcast-feed-parser 13: the namespace in other capitals", 1, rss("<item><guid>1</guid><itunes:summary>x</itunes:summary></item>").replace("<rss ", "<rss xmlns:itunes=\"http://www.itunes.com/DTDs/Podcast-1.0.dtd\" ")).has("/summary", "x"),
        case("FreshRSS 3390: an element with a default namespace of its own", 1, rss("<item><guid>1</guid><post-id xmlns=\"com-wordpress:feed-additions:1\">9</post-id><title>t</title></item>")).has("/title", "t"),
        case("feed-rs 125: an image of another namespace", 1, rss("<image><title>I</title><link>https://i.example/</link></image><googleplay:image href=\"x\"/><item><guid>1</guid></item>")).has("/feed/title", "S").has("/feed/url", "https://s.example/"),
        case("SimplePie 651: a root called Channel", 1, "<Channel><feedType>rss_2.0</feedType><title>E</title><Item><Title>t</Title><Link>https://s.example/1</Link></Item></Channel>").has("/title", "t").has("/feed/title", "E"),
        case("podcastify-dir 1: items beside the channel", 1, "<rss version=\"2.0\"><channel><title>J</title></channel><item><guid>1</guid><pubDate>Invalid Date</pubDate></item></rss>").has("/published", Value::Null),
    ])
    .await;
}

#[tokio::test]
async fn encodings() {
    let swedish = "<rss><channel><item><guid>1</guid><title>Blessures tr\u{e8}s s\u{e9}v\u{e8}res</title></item></channel></rss>";
    let declared = |encoding: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>");
    let title = "Blessures tr\u{e8}s s\u{e9}v\u{e8}res";
    let mixed = [latin_1(&declared("ISO-8859-1")), swedish.as_bytes().to_vec(), b"<!-- caf\xe9 -->".to_vec()]
        .concat();
    check(vec![
        case("node-feedparser 62: Latin 1 becomes signs", 1, latin_1(&(declared("ISO-8859-1") + swedish)))
            .has("/title", title),
        case(
            "hookshot 1108: header and declaration say Latin 1",
            1,
            latin_1(&(declared("ISO-8859-1") + swedish)),
        )
        .header("content-type", "application/rss+xml; charset=ISO-8859-1")
        .has("/title", title),
        case(
            "spaRSS 207: the header says gbk, the declaration utf-8, and it is that",
            1,
            (declared("utf-8") + swedish).into_bytes(),
        )
        .header("content-type", "text/xml; charset=gbk")
        .has("/title", title),
        case("FreshRSS 1130: says Latin 1, is UTF-8 but for a byte", 1, mixed).has("/title", title),
        case(
            "thunderbird-website 668: text/xml without a charset is not ASCII",
            1,
            swedish.as_bytes().to_vec(),
        )
        .header("content-type", "text/xml")
        .has("/title", title),
        case(
            "Pipes 91: half a character at the end of a title",
            1,
            [
                b"<rss><channel><item><guid>1</guid><title>\xe5\xa3\x8a\xe3\x82\x8c\xe3\x81".as_slice(),
                b"</title></item></channel></rss>",
            ]
            .concat(),
        )
        .has("/title", "\u{58ca}\u{308c}\u{fffd}"),
        case(
            "feed-io 247: Latin 2",
            1,
            [
                declared("iso-8859-2").into_bytes(),
                b"<rss><channel><item><guid>1</guid><title>m\xfbsora</title></item></channel></rss>".to_vec(),
            ]
            .concat(),
        )
        .has("/title", "m\u{171}sora"),
    ])
    .await;
}

#[tokio::test]
async fn dates_and_links() {
    let entry = |more: &str| atom(&format!("<entry>{more}</entry>"));
    check(vec![
        case("neverworkintheory 203: a path from the root of the host", 1, entry("<id>a</id><link href=\"/2023/x.html\"/>")).has("~/url", "/2023/x.html"),
        case("fluent-reader 692: a base of the content alone", 1, entry("<id>a</id><link href=\"https://s.example/1\"/><content type=\"html\" xml:base=\"https://s.example/posts/\">&lt;img src=\"a.png\"&gt;</content>")).has("/content", "<img src=\"a.png\">"),
        case("FreshRSS 7510: a thumbnail without an address", 1, rss("<item><guid>1</guid><media:thumbnail url=\"\"></media:thumbnail><title>t</title></item>")).has("/title", "t").has("/enclosures", json!([])),
        case("Podlatch 33: an enclosure of no length and no type", 1, rss("<item><guid>1</guid><enclosure url=\"https://s.example/a.mp3\" length=\"\" type=\"\"/></item>")).has("/enclosures/0/type", Value::Null),
        case("podiobooks 218: a length of None", 1, rss("<item><guid>1</guid><enclosure url=\"https://s.example/a.mp3\" length=\"None\" type=\"audio/mpeg\"/></item>")).has("/enclosures/0/length", Value::Null),
        case("feedparser (Ruby) 11: a file twice, once without a length", 1, rss("<item><guid>1</guid><enclosure url=\"https://s.example/a.mp3\" length=\"7\" type=\"audio/mpeg\"/><media:content url=\"https://s.example/a.mp3\"/></item>")).has("/enclosures", json!([{ "url": "https://s.example/a.mp3", "type": "audio/mpeg", "length": 7 }])),
        case("Feeder 456: a time with PM and no seconds", 1, dated("Sun, 15 Dec 2024 12:15 PM")).has("/published", "2024-12-15T12:15:00Z"),
        case("ROME 378: the month before the day, in a section", 1, dated("<![CDATA[Tue, Jan 23 2018 02:54:55 MST]]>")).has("/published", "2018-01-23T09:54:55Z"),
        case("ROME 395: Sept", 1, dated("Tue, 18 Sept 2018 15:53:56 +0300")).has("/published", "2018-09-18T12:53:56Z"),
        case("miniflux 2159: twelve hours with seconds", 1, dated("Sat, Oct 28 2023 08:28:28 PM")).has("/published", "2023-10-28T20:28:28Z"),
        case("miniflux 617: nothing but a weekday", 1, dated("Tue,")).has("/published", Value::Null),
        case("distill template 126: minutes of one digit", 1, dated("Thu, 02 Sep 2021 20:0:0 Z")).has("/published", "2021-09-02T20:00:00Z"),
        case("selfoss 1057: a Dutch date", 1, dated("ma, 08 okt 2018 10:09:29 +0000")).has("/published", "2018-10-08T10:09:29Z"),
        case("feedbin 216: an xml:base of the entry", 1, "<feed xmlns='http://www.w3.org/2005/Atom' xml:base='https://t.example/ongoing/'><entry xml:base='When/2013/'><id>1</id><link href='Texas'/></entry></feed>").has("/url", "https://t.example/ongoing/When/2013/Texas"),
        case("platform-blog 128: everything is relative", 1, entry("<id>a</id><link rel=\"alternate\" href=\"opam-2/\"/>")).has("~/url", "http://127.0.0.1:"),
        case("web3-is-going-great 16: a link of Atom with text", 1, entry("<id>1</id><link>https://s.example/1</link>")).has("/url", "https://s.example/1"),
        case("fluent-reader 587: only a guid that is an address", 1, rss("<item><guid isPermaLink=\"true\">https://s.example/1</guid></item>")).has("/url", "https://s.example/1"),
        case("RssBandit 1243: ispermalink in small letters", 1, rss("<item><guid ispermalink=\"false\">https://s.example/not</guid></item>")).has("/url", Value::Null),
        case("gPodder 1445: blanks in the address of a file", 1, rss("<item><guid>1</guid><enclosure url=\"https://s.example/a b.mp3\" length=\"1\" type=\"audio/mpeg\"/></item>")).has("/enclosures/0/url", "https://s.example/a%20b.mp3"),
        case("AntennaPod 2074: an enclosure without a type", 1, rss("<item><guid>1</guid><enclosure url=\"https://s.example/a.mp3\"/></item>")).has("/enclosures", json!([{ "url": "https://s.example/a.mp3", "type": null, "length": null }])),
        case("podcast_player 78: two enclosures", 1, rss("<item><guid>1</guid><enclosure url=\"https://s.example/a\"/><enclosure url=\"https://s.example/b\"/></item>")).has("/enclosures/1/url", "https://s.example/b"),
    ])
    .await;
}

#[tokio::test]
async fn titles_names_and_json() {
    let same = |title: &str| {
        format!(
            "<item><title>{title}</title><link>https://q.example</link><pubDate>Fri, 07 Mar 2025 22:00:00 +0000</pubDate></item>"
        )
    };
    let json_feed = |items: &str| {
        format!("{{\"version\":\"https://jsonfeed.org/version/1.1\",\"title\":\"t\",\"items\":[{items}]}}")
    };
    check(vec![
        case("nextcloud news 752: a section in a title of HTML", 1, atom("<entry><id>1</id><title type=\"html\"><![CDATA[Memory &amp; Go]]></title></entry>")).has("/title", "Memory & Go"),
        case("owncloud apps 69: a div around a title", 1, atom("<entry><id>1</id><title type=\"xhtml\"><div xmlns=\"http://www.w3.org/1999/xhtml\">A &amp; B</div></title></entry>")).has("/title", "A & B"),
        case("Handy News Reader 802: references in the title of the feed", 1, rss("<item><guid>1</guid></item>").replace("<title>S", "<title>Gary&amp;#39;s stuff")).has("/feed/title", "Gary's stuff"),
        case("lemmy 5171: escaped twice", 2, titled("what do y&amp;#x27;all know")).has("/title", "what do y'all know"),
        case("matklad 108: <3 in a title of HTML", 1, atom("<entry><id>1</id><title type=\"html\">&lt;3 Deno</title></entry>")).has("/title", "<3 Deno"),
        case("NetNewsWire 4540: no guid, one link and one date for all", 3, rss(&(same("A") + &same("B") + &same("C")))).has("/title", "A").has("/title", "C"),
        case("FreshRSS 5329: a guid that is there twice, one link for all", 2, rss("<item><guid>https://m.example/#2d</guid><link>https://m.example/</link><title>A</title></item><item><guid>https://m.example/#2d</guid><link>https://m.example/</link><title>B</title></item>")).has("/title", "A"),
        case("drop-feeds 132: an empty guid", 2, rss("<item><guid/><title>A</title><link>https://n.example/a</link></item><item><guid></guid><title>B</title><link>https://n.example/b</link></item>")).has("/id", "https://n.example/a"),
        case("gofeed 270: an id that is a number, a size that is a fraction", 1, json_feed("{\"id\":123,\"expired\":\"no\",\"attachments\":[{\"url\":\"a\",\"mime_type\":\"b\",\"size_in_bytes\":1.0,\"duration_in_seconds\":3600.5}]}")).has("/id", "123").has("/enclosures/0/length", 1),
        case("yarns 80: the author of the feed", 1, json_feed("{\"id\":\"1\"}").replace("\"title\"", "\"author\":{\"name\":\"M\",\"url\":\"https://m.example/\"},\"title\"")).has("/authors/0/name", "M"),
    ])
    .await;
}
