import BulkheadLaunch
import Glibc
import Testing

@testable import BulkheadEngine

@Suite("LaunchRefusal")
struct LaunchRefusalTests {
    @Test(
        "what time mends is put back in its queue, and a kill before the exec is such",
        arguments: [EINTR, EAGAIN, ENOMEM]
    )
    func passing(errno: Int32) {
        let refusal = LaunchRefusal(stage: .exec, errno: errno, detail: "by signal 9")
        #expect(refusal.isPassing && !refusal.handlerIsToBlame)
    }

    @Test("what time does not mend ends the task", arguments: [ECANCELED, ENOEXEC, EPERM])
    func lasting(errno: Int32) {
        #expect(!LaunchRefusal(stage: .exec, errno: errno, detail: "").isPassing)
    }
}
