use super::*;

#[test]
fn good_scripts_pass() {
    for text in [
        "Get-PSDrive -PSProvider FileSystem |\n  Select-Object Name, Used, Free |\n  ConvertTo-Json\n",
        "param([Parameter(Mandatory)][ValidatePattern('^KB\\d+$')][string] $Kb)\n$ErrorActionPreference = 'Stop'\nif (Get-HotFix -Id $Kb) { return }\n",
        "@{ status = [int](Invoke-WebRequest http://localhost/health -UseBasicParsing).StatusCode } | ConvertTo-Json\n",
        "Write-Output 'a && b || c ?? d'\n# a && b ? c : d\n",
        "$p = Start-Process wusa.exe -ArgumentList \"C:\\Patches\\$Kb.msu\", '/quiet' -Wait -PassThru\nif ($p.ExitCode -notin 0, 3010) { throw \"wusa exited with $($p.ExitCode)\" }\n",
        "cmd.exe --% /c a && b || c\n",
        "Get-ChildItem | ? { $_.Length -gt 1 } | % { $_ }\n",
        "Import-Module $PSScriptRoot\\..\\a.psd1\nRemove-Item $env:TEMP\\*\n",
        "Invoke-WebRequest http://host/a?b=c:d\n",
        "Do-Work\nData-It\nParam-It\nForEach-Object { 1 }\nswitch ($x) { 1 { 'a'; break outer } default { 'b' } }\n",
        "Get-Date | ForEach-Object { $_ } -Begin { 1 }",
        "Start-Job { 1 } -Parallel",
    ] {
        assert_eq!(look(text).findings, [], "{text}");
    }
}

#[test]
fn mistakes_have_a_line_and_column() {
    for (text, line, column, part) in [
        ("Get-Date\nif ($x) {\n", 2, 9, "this { is never closed"),
        ("a\n  Get-Date && Get-Item x\n", 2, 12, "&& is PowerShell 7"),
        ("Get-Date || exit 1", 1, 10, "|| is PowerShell 7"),
        ("$a ?? $b", 1, 4, "?? is PowerShell 7"),
        ("$a ??= $b", 1, 4, "?? is PowerShell 7"),
        ("$x = $true ? 1 : 2", 1, 12, "a ? b : c is PowerShell 7"),
        ("$x = ($a -eq 1) ? 'a' : 'b'", 1, 17, "a ? b : c is PowerShell 7"),
        ("${a}?.Length", 1, 5, "?. and ?[]"),
        ("${a}?[0]", 1, 5, "?. and ?[]"),
        ("Get-Item x | ConvertTo-Json -Depth 3 -asarray", 1, 38, "-AsArray is PowerShell 7"),
        ("1..3 | ForEach-Object -Parallel { $_ }", 1, 23, "-Parallel is PowerShell 7"),
        ("1..3 | % -Parallel { $_ }", 1, 10, "-Parallel is PowerShell 7"),
        ("'ü'; Write-Output {{ region }}", 1, 19, "would replace {{ region }}"),
        ("\"{{ssm:secret}}\"", 1, 2, "would replace {{ssm:secret}}"),
    ] {
        let found = look(text).findings;
        assert!(
            found.iter().any(|f| (f.line, f.column) == (line, column) && f.message.contains(part)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn parameters_are_found() {
    let names = |text: &str| look(text).parameters;
    assert_eq!(names("param([string] $Kb, $Other = 1)\n$Kb"), Some(vec!["Kb".into(), "Other".into()]));
    assert_eq!(
        names("# why\n[CmdletBinding()]\nparam(\n  [Parameter(Mandatory)]\n  [string] $A\n)\n"),
        Some(vec!["A".into()])
    );
    assert_eq!(names("Get-Date"), Some(vec![]));
    assert_eq!(names("function f { param($X) $X }\nf 1"), Some(vec![]));
}

#[test]
fn deep_scripts_end_in_an_answer() {
    let deep = "(".repeat(20_000) + "1" + &")".repeat(20_000);
    assert_eq!(look(&deep).parameters, Some(vec![]));
}

#[test]
fn what_if_is_taken_by_scripts_that_say_so() {
    let takes = |text: &str| look(text).what_if;
    for yes in [
        "[CmdletBinding(SupportsShouldProcess)]\nparam([string] $A)\nGet-Date",
        "# a comment\n[cmdletbinding( ConfirmImpact='High', supportsshouldprocess = $True )]\nparam()\n1",
        "[Diagnostics.CodeAnalysis.SuppressMessageAttribute('x', '')]\n[CmdletBinding(SupportsShouldProcess=1)]\nparam()\n1",
    ] {
        assert!(takes(yes), "{yes}");
    }
    for no in [
        "Get-Date",
        "param([string] $A)\nGet-Date",
        "[CmdletBinding()]\nparam()\nGet-Date",
        "[CmdletBinding(SupportsShouldProcess=$false)]\nparam()\n1",
        "[Other(SupportsShouldProcess)]\nparam()\n1",
        "# [CmdletBinding(SupportsShouldProcess)]\nparam()\n1",
        "function f { [CmdletBinding(SupportsShouldProcess)] param() 1 }\nf",
        "param([string] $A = '[CmdletBinding(SupportsShouldProcess)]')\n1",
    ] {
        assert!(!takes(no), "{no}");
    }
}
