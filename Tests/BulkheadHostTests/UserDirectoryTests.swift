import BulkheadCore
import Testing

@testable import BulkheadHost

@Suite("UserDirectory")
struct UserDirectoryTests {
    @Test("root is found by name and by number")
    func root() throws {
        #expect(try UserDirectory.user(named: "root") == UserDirectory.User(name: "root", uid: 0, gid: 0))
        #expect(UserDirectory.user(numbered: 0)?.name == "root")
        #expect(try UserDirectory.group(named: "root") == 0)
        #expect(UserDirectory.groupName(0) == "root")
        #expect(UserDirectory.describe(user: 0) == "\"root\"")
    }

    @Test("who does not exist is said with the way out, and named by number")
    func nobody() {
        let user = refusal { () throws(BulkheadError) in try UserDirectory.user(named: "no such user") }
        #expect(user?.message == "there is no user \"no such user\" on this host")
        #expect(user?.advice == "add it with useradd --system 'no such user', or name another")
        let group = refusal { () throws(BulkheadError) in try UserDirectory.group(named: "no-such-group") }
        #expect(group?.message == "there is no group \"no-such-group\" on this host")
        #expect(UserDirectory.describe(user: 1_999_999_999) == "1999999999")
        #expect(UserDirectory.describe(group: 1_999_999_999) == "1999999999")
        // A number is no name.
        #expect(refusal { () throws(BulkheadError) in try UserDirectory.user(named: "0") }?.code == .host)
    }

    @Test(
        "words are quoted as a shell needs it",
        arguments: [
            ("plugins/thumb-nail_2.sh", "plugins/thumb-nail_2.sh"), ("", "''"), ("a b", "'a b'"),
            ("it's", "'it'\\''s'"), ("$(x)", "'$(x)'"), ("ü", "'ü'"),
        ]
    )
    func quoting(_ word: String, _ quoted: String) {
        #expect(ShellWord.quote(word) == quoted)
    }
}
