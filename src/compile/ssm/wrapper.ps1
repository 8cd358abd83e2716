# Windlass: runs one step's script with its arguments, and ends as the script ends.
$ErrorActionPreference = 'Stop'
if ($env:OS -ne 'Windows_NT') {
    [Console]::Error.WriteLine('windlass: this step is for Windows, and this node runs something else')
    exit 1
}
# A script's output goes through a pipe in the code page of the console, and the agent reads UTF-8. Without a console there is nothing to set.
try { [Console]::OutputEncoding = New-Object Text.UTF8Encoding $false } catch { }
# Each line of the script stands behind a bar, so that none of them can end the text.
$windlassText = @'
@@SCRIPT@@
'@
$windlassLines = foreach ($windlassLine in ($windlassText -split "\r?\n")) { $windlassLine.Substring(1) }
# The arguments are JSON, percent-encoded, in Base64: nothing in them is ever read as PowerShell. One that is null counts as not given.
$windlassArguments = @{}
$windlassEncoded = '{{ arguments }}'
if ($windlassEncoded) {
    $windlassJson = [Uri]::UnescapeDataString([Text.Encoding]::ASCII.GetString([Convert]::FromBase64String($windlassEncoded)))
    foreach ($windlassProperty in (ConvertFrom-Json -InputObject $windlassJson).PSObject.Properties) {
        if ($null -ne $windlassProperty.Value) { $windlassArguments[$windlassProperty.Name] = $windlassProperty.Value }
    }
}
$windlassFile = Join-Path ([IO.Path]::GetTempPath()) ('windlass-' + [Guid]::NewGuid().ToString('N') + '.ps1')
$windlassCode = 0
try {
    # Windows PowerShell 5.1 reads a file as UTF-8 only behind a byte order mark.
    [IO.File]::WriteAllText($windlassFile, ($windlassLines -join "`r`n"), (New-Object Text.UTF8Encoding $true))
    $global:LASTEXITCODE = 0
    $ErrorActionPreference = '@@ERROR_ACTION@@'
    & $windlassFile @windlassArguments
    $windlassCode = $global:LASTEXITCODE
}
catch {
    [Console]::Error.WriteLine(($_ | Out-String).TrimEnd())
    [Console]::Error.WriteLine($_.ScriptStackTrace)
    $windlassCode = 1
}
finally {
    Remove-Item -LiteralPath $windlassFile -Force -ErrorAction SilentlyContinue
}
# For the agent 3010 means "reboot, then run this again", and 1641 is a failure. Here both say that a reboot is wanted.
if ($windlassCode -eq 3010 -or $windlassCode -eq 1641) {
    [Console]::Error.WriteLine('@@REBOOT_REQUIRED@@')
    $windlassCode = 0
}
exit $windlassCode
