import Foundation

/// Foundation's errors in the system's own words.
enum Cause {
    /// The text of the system call's error where one lies below, else Foundation's reason.
    static func words(of error: any Error) -> String {
        let error = error as NSError
        let below = error.userInfo[NSUnderlyingErrorKey] as? NSError
        return below?.localizedFailureReason ?? error.localizedFailureReason ?? error.localizedDescription
    }
}
