# The guide's command blocks whose commands this version has, in its order, as written there. `#= N` after a title is the
# expected exit code (0 if absent), `#> TEXT` what must be said, `#! ` a line of ours in place of one of the guide's.

## Verify authentication #= 77
#! ./loop auth status
#> ./loop auth login

## Environment Setup
export BD_ACTOR="harness-agent"
export BD_RIG="aardwolf_snd"
ls -la prompts/bootstrap.md

## Test Setup
cat > state/queue.json <<'EOF'
[
  {
    "id": "test-001",
    "type": "test",
    "title": "Phase 2 validation test",
    "priority": "high",
    "rig": "aardwolf_snd"
  }
]
EOF

# Verify queue
./scripts/manage-queue.sh show
#> test-001  ready  high

## Step 2: Verify File Integrity
./scripts/verify-installation.sh
ls -l loop.sh
ls -l scripts/parse-session-events.sh
ls -l prompts/bootstrap.md
ls -l config.yaml
#> ready

## Step 4: Initialize Directories
mkdir -p state/sessions
mkdir -p docs/sessions
mkdir -p docs/research
ls -ld state docs state/sessions docs/sessions docs/research

## Step 5: Validate Configuration
#! ./loop config check
cat config.yaml
#> config.yaml is right

## Step 6: Test Installation
bash -n loop.sh
./scripts/parse-session-events.sh --help
#> Usage: ./loop session

## Stage 1: Smoke Test
MAX_ITERATIONS=1 ./loop.sh
#> Session completed successfully

## Stage 1: Validation
ls -l state/current-session.json
ls -l docs/sessions/ses_*.log
./scripts/parse-session-events.sh latest
#> verified

## Stage 3, Test 3: Work Queue Empty
echo '[]' > state/queue.json
MAX_ITERATIONS=1 ./loop.sh

## Stage 4: Full Iteration Test
./scripts/manage-queue.sh add '{
  "id": "stage-test-001",
  "title": "Complete validation test",
  "type": "feature",
  "priority": "high"
}'
MAX_ITERATIONS=3 ./loop.sh
#> stage-test-001 added: ready
#> Session completed successfully

## Stage 5: Interrupt Test
./loop.sh > harness.out 2>&1 &
HARNESS_PID=$!
#! until ./scripts/report-status.sh > /dev/null; do sleep 0.1; done
echo "Testing interrupt mechanism" > state/interrupt-request.txt
#! until ./scripts/report-status.sh > paused.txt; [ $? = 5 ]; do sleep 0.1; done; cat paused.txt
cat state/interrupt-request.txt
ls docs/sessions/*-context.json
#! ./loop why pause
rm state/interrupt-request.txt
#! until ./scripts/report-status.sh > /dev/null; do sleep 0.1; done
#! ./loop stop
wait $HARNESS_PID
#> ‖ paused
#> Testing interrupt mechanism
#> the loop has ended

## Stage 6: Metrics Test
#! SESSION_ID=$(ls -t docs/sessions/ses_*.json | head -1 | xargs -I{} basename {} .json)
#! SESSION_ID=${SESSION_ID%-context}
./scripts/parse-session-events.sh metrics $SESSION_ID
cat state/sessions/$SESSION_ID/metrics.json | jq
#> loop.session-metrics/1

## Step 5: Initialize Production State
./scripts/manage-queue.sh check
./scripts/manage-queue.sh show
#> queue: 2 done

## Step 6 and 7: Start Harness, Verify Operation
nohup ./loop.sh > harness.out 2>&1 &
echo $! > harness.pid
ps -p $(cat harness.pid)
#! until ./scripts/report-status.sh > status.txt; do sleep 0.1; done; cat status.txt
cat state/current-session.json | jq
tail state/iteration.log
#> ● running
#> session_id

## Health Checks
./scripts/health-check.sh
#> ✓ Health check passed

## Stop gracefully
#! ./loop stop
ps aux | grep "$PWD/loop.sh" | grep -v grep || echo stopped
#> stopped

## Troubleshooting: a second stop finds nobody #= 3
#! ./loop stop
#> no loop runs

## Issue 2: Agent Won't Spawn
./scripts/manage-queue.sh show
cat prompts/bootstrap.md
#> Claude Harness Agent Bootstrap

## Issue 4: High Error Rate
grep -c ERROR state/iteration.log || true
free -h || true
df -h .

## Issue 5: Review context
cat docs/sessions/*-context.json | tail -1 | jq
tail -50 state/iteration.log
#> loop.session-context/1

## Morning Checklist
grep "SUCCESS" state/iteration.log | grep -c "Session completed"
#> 2

## Afternoon Checklist
ls docs/sessions/*.json | wc -l
./scripts/parse-session-events.sh latest
ls state/interrupt-request.txt 2>/dev/null && echo "Interrupt active"
./scripts/manage-queue.sh show
#> stage-test-001

## Evening Checklist
grep "completed successfully" state/iteration.log | grep $(date +%Y-%m-%d) | wc -l
du -sh state docs
#> 2

## Weekly Operations #= 2
./scripts/analyze-weekly-metrics.sh
#> not built in this version

## Status and Analysis
SID=latest
./scripts/report-status.sh || [ $? = 3 ]
./scripts/parse-session-events.sh latest
./scripts/parse-session-events.sh list
./scripts/parse-session-events.sh watch $SID
./scripts/parse-session-events.sh metrics $SID
./scripts/parse-session-events.sh tools $SID
./scripts/parse-session-events.sh errors $SID
./scripts/parse-session-events.sh timeline $SID
#> stopped
#> complete_work
